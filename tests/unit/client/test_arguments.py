"""Command lines are read as pflag and docker/cli read them; the texts are the real CLI's (28.2.2)."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.failure import HelpRequested, UsageError
from pydock_lab.client.commands.grammar import find, load


def read(line: str) -> Arguments:
    command, rest = find(shlex.split(line))
    return parse(command, rest)


def test_flags_stop_at_the_image() -> None:
    arguments = read("run -it --rm -p8080:80 -p=1:2 --name web -e A=1 --env B=2 alpine ls -la --name x")
    assert arguments.positional == ("alpine", "ls", "-la", "--name", "x")
    assert arguments.on("interactive") and arguments.on("tty") and arguments.on("rm")
    assert arguments.many("publish") == ["8080:80", "1:2"]
    assert arguments.many("env") == ["A=1", "B=2"]
    assert arguments.text("name") == "web"


def test_flags_may_follow_arguments_elsewhere() -> None:
    arguments = read("logs web -f --tail 3")
    assert arguments.positional == ("web",)
    assert arguments.on("follow") and arguments.text("tail") == "3"


def test_defaults_and_negation() -> None:
    arguments = read("run --sig-proxy=false alpine")
    assert not arguments.on("sig-proxy")
    assert read("run alpine").on("sig-proxy")
    assert read("run alpine").text("pull") == "missing"
    assert not read("run alpine").on("rm")


def test_two_dashes_end_the_flags() -> None:
    assert read("rm -f -- -x").positional == ("-x",)


def test_values_carry_their_units() -> None:
    arguments = read("run -m 64m --health-interval 1m30s --cpu-shares 512 --label a=b --label c alpine")
    assert arguments.size("memory") == 64 * 1024**2
    assert arguments.duration("health-interval") == 90 * 10**9
    assert arguments.number("cpu-shares") == 512
    assert arguments.mapping("label") == {"a": "b", "c": ""}


RUN = "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information"
REFUSALS = {
    "run --foo x": (125, f"unknown flag: --foo\n\n{RUN}"),
    "run -y x": (125, f"unknown shorthand flag: 'y' in -y\n\n{RUN}"),
    "run -p": (125, f"flag needs an argument: 'p' in -p\n\n{RUN}"),
    "run --name": (125, f"flag needs an argument: --name\n\n{RUN}"),
    "run --memory=foo x": (125, f"""invalid argument "foo" for "-m, --memory" flag: invalid size: 'foo'\n\n{RUN}"""),
    "run --cpus=foo x": (
        125,
        f'invalid argument "foo" for "--cpus" flag: failed to parse foo as a rational number\n\n{RUN}',
    ),
    "run --health-interval=foo x": (
        125,
        f'invalid argument "foo" for "--health-interval" flag: time: invalid duration "foo"\n\n{RUN}',
    ),
    "run --blkio-weight=foo x": (
        125,
        f'invalid argument "foo" for "--blkio-weight" flag: strconv.ParseUint: parsing "foo": invalid syntax\n\n{RUN}',
    ),
    "run --pids-limit=99999999999999999999 x": (
        125,
        (
            'invalid argument "99999999999999999999" for "--pids-limit" flag: strconv.ParseInt: '
            f'parsing "99999999999999999999": value out of range\n\n{RUN}'
        ),
    ),
    "run --mount foo x": (
        125,
        f"""invalid argument "foo" for "--mount" flag: invalid field 'foo' must be a key=value pair\n\n{RUN}""",
    ),
    "ps --no-trunc=foo": (
        125,
        (
            'invalid argument "foo" for "--no-trunc" flag: strconv.ParseBool: parsing "foo": invalid syntax\n\n'
            "Usage:  docker ps [OPTIONS]\n\nRun 'docker ps --help' for more information"
        ),
    ),
    "ps --filter foo": (
        125,
        (
            'invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)\n\n'
            "Usage:  docker ps [OPTIONS]\n\nRun 'docker ps --help' for more information"
        ),
    ),
    "ps --=x": (
        125,
        "bad flag syntax: --=x\n\nUsage:  docker ps [OPTIONS]\n\nRun 'docker ps --help' for more information",
    ),
    "stop": (
        1,
        (
            "docker: 'docker stop' requires at least 1 argument\n\n"
            "Usage:  docker stop [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'docker stop --help' for more information"
        ),
    ),
    "container exec x": (
        1,
        (
            "docker: 'docker container exec' requires at least 2 arguments\n\nUsage:  docker container exec "
            "[OPTIONS] CONTAINER COMMAND [ARG...]\n\nSee 'docker container exec --help' for more information"
        ),
    ),
    "rename a": (
        1,
        (
            "docker: 'docker rename' requires 2 arguments\n\nUsage:  docker rename CONTAINER NEW_NAME\n\n"
            "Run 'docker rename --help' for more information"
        ),
    ),
    "ps extra": (
        1,
        (
            "docker: 'docker ps' accepts no arguments\n\nUsage:  docker ps [OPTIONS]\n\n"
            "Run 'docker ps --help' for more information"
        ),
    ),
    "port": (
        1,
        (
            "docker: 'docker port' requires at least 1 and at most 2 arguments\n\n"
            "Usage:  docker port CONTAINER [PRIVATE_PORT[/PROTO]]\n\nRun 'docker port --help' for more information"
        ),
    ),
    "images a b": (
        1,
        (
            "docker: 'docker images' requires at most 1 argument\n\n"
            "Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]\n\n"
            "Run 'docker images --help' for more information"
        ),
    ),
    "nope": (1, "docker: unknown command: docker nope\n\nRun 'docker --help' for more information"),
    "container log x": (
        1,
        (
            "docker: unknown command: docker container log\n\nUsage:  docker container\n\n"
            "Run 'docker container --help' for more information"
        ),
    ),
    "--foo": (
        125,
        "unknown flag: --foo\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information",
    ),
}


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals_are_dockers(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(line)
    assert (caught.value.exit_code, caught.value.message) == REFUSALS[line]


@pytest.mark.parametrize("line", ["run --help", "ps -h", "container", "container --help", "", "help run"])
def test_help_is_not_a_failure(line: str) -> None:
    with pytest.raises(HelpRequested) as caught:
        read(line)
    assert caught.value.page.startswith("Usage:  docker")


def test_h_is_the_host_name_where_run_has_it() -> None:
    assert read("run -h box alpine").text("hostname") == "box"


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_line_parses_or_is_refused(words: list[str]) -> None:
    for command in load().commands:
        try:
            arguments = parse(command, words)
        except (UsageError, HelpRequested):
            continue
        assert command.least <= len(arguments.positional)
