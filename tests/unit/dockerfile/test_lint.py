"""Build checks: BuildKit's names and sentences, one Dockerfile a rule, and one that has none."""

import pytest

from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.lint import check
from pydock_lab.dockerfile.rules import DESCRIPTIONS

CASES = [
    ("StageNameCasing", "FROM alpine AS Build\n", 1, "Stage name 'Build' should be lowercase"),
    ("FromAsCasing", "FROM alpine as build\n", 1, "'as' and 'FROM' keywords' casing do not match"),
    ("NoEmptyContinuation", "FROM alpine\nRUN a \\\n\n  b\n", 3, "Empty continuation line"),
    (
        "ConsistentInstructionCasing",
        "FROM alpine\nRUN a\nrun b\n",
        3,
        "Command 'run' should match the case of the command majority (uppercase)",
    ),
    (
        "DuplicateStageName",
        "FROM alpine AS a\nFROM alpine AS a\n",
        2,
        'Duplicate stage name "a", stage names should be unique',
    ),
    (
        "ReservedStageName",
        "FROM alpine AS scratch\n",
        1,
        'Stage name should not use the same name as reserved stage "scratch"',
    ),
    (
        "JSONArgsRecommended",
        "FROM alpine\nENTRYPOINT a b\n",
        2,
        "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals",
    ),
    (
        "MaintainerDeprecated",
        "FROM alpine\nMAINTAINER me\n",
        2,
        "Maintainer instruction is deprecated in favor of using label",
    ),
    (
        "UndefinedArgInFrom",
        "ARG VERSION=1\nFROM alpine:$VERSIO\n",
        2,
        "FROM argument 'VERSIO' is not declared (did you mean VERSION?)",
    ),
    (
        "WorkdirRelativePath",
        "FROM alpine\nWORKDIR app\n",
        2,
        'Relative workdir "app" can have unexpected results if the base image changes',
    ),
    ("UndefinedVar", "FROM alpine\nCOPY $foo .\n", 2, "Usage of undefined variable '$foo'"),
    (
        "UndefinedVar",
        "FROM alpine\nARG DIR_BINARIES\nCOPY $DIR_BINARIE .\n",
        3,
        "Usage of undefined variable '$DIR_BINARIE' (did you mean $DIR_BINARIES?)",
    ),
    (
        "MultipleInstructionsDisallowed",
        'FROM alpine\nCMD ["a"]\nCMD ["b"]\n',
        2,
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "LegacyKeyValueFormat",
        "FROM alpine\nENV name value\n",
        2,
        '"ENV key=value" should be used instead of legacy "ENV key value" format',
    ),
    (
        "InvalidDefaultArgInFrom",
        "ARG TAG\nFROM alpine:$TAG\n",
        2,
        "Default value for ARG alpine:$TAG results in empty or invalid base image name",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 alpine\n",
        1,
        'FROM --platform flag should not use constant value "linux/amd64"',
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 alpine AS build_amd64\nFROM --platform=linux/arm64 alpine AS base\nFROM base\n",
        2,
        'FROM --platform flag should not use constant value "linux/arm64"',
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=$TARGETPLATFORM alpine\n",
        1,
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    (
        "CopyIgnoredFile",
        "FROM alpine\nCOPY secret.txt /\n",
        2,
        'Attempting to Copy file "secret.txt" that is excluded by .dockerignore',
    ),
    (
        "ExposeProtoCasing",
        "FROM alpine\nEXPOSE 80/TCP\n",
        2,
        "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    ),
    (
        "ExposeInvalidFormat",
        "FROM alpine\nEXPOSE 127.0.0.1:80:80\n",
        2,
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    ),
    (
        "SecretsUsedInArgOrEnv",
        "FROM alpine\nARG AWS_SECRET_KEY\n",
        2,
        'Do not use ARG or ENV instructions for sensitive data (ARG "AWS_SECRET_KEY")',
    ),
    (
        "InvalidDefinitionDescription",
        "# check=experimental=all\n# bar is not a\nARG foo=1\nFROM alpine\n",
        3,
        "Comment for ARG should follow the format: `# foo <description>`",
    ),
]


@pytest.mark.parametrize(("rule", "text", "line", "detail"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_rules(rule: str, text: str, line: int, detail: str) -> None:
    found = check(text, Ignore.parse("secret.*\n"))
    assert [(each.rule, each.line, each.detail) for each in found] == [(rule, line, detail)]


def test_every_rule_has_a_case() -> None:
    needs_the_image = {"InvalidBaseImagePlatform"}  # the builder says it (test_builder.py)
    assert {case[0] for case in CASES} | needs_the_image == set(DESCRIPTIONS)


def test_a_clean_file() -> None:
    text = """ARG VERSION=3
FROM python:$VERSION AS build
ARG TARGETARCH
ENV HOME=/root PATH=$PATH:/x TOKEN_PUBLIC_KEY=
WORKDIR /app
WORKDIR below
COPY --chown=$PYTHON_USER:0 . ${HOME:-x}/$TARGETARCH
RUN echo $anything
FROM build
COPY $HOME /x
EXPOSE 80 443/udp 8000-8010/tcp $PORTS
CMD ["python"]
"""
    assert check(text, Ignore.parse("*.log\n")) == []


def test_rules_can_be_turned_off() -> None:
    text = "FROM alpine AS Build\nMAINTAINER me\n"
    assert len(check(text)) == 2
    assert [each.rule for each in check(f"# check=skip=StageNameCasing\n{text}")] == ["MaintainerDeprecated"]
    assert check(f"# check=skip=all\n{text}") == []


def test_each_has_a_page() -> None:
    finding = check("FROM alpine\nCMD a\n")[0]
    assert finding.url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert finding.document["description"] == DESCRIPTIONS["JSONArgsRecommended"]


def test_a_shell_that_was_chosen_may_run_the_command() -> None:
    chosen = 'FROM alpine AS a\nSHELL ["/bin/ash", "-c"]\nCMD b\nFROM a\nENTRYPOINT c\nFROM alpine\nCMD d\n'
    assert [(finding.rule, finding.line) for finding in check(chosen)] == [("JSONArgsRecommended", 7)]
