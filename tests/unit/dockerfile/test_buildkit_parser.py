"""Our parser beside BuildKit's own: the golden cases, and Dockerfiles put together at random.

That BuildKit is 0.12. Where a later one reads otherwise, ours follows the later one (see `differs_by_age`).
"""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydock_lab.dockerfile.parser import Node, parse
from pydock_lab.errors import DockerfileError

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="BuildKit's parser comes built for x86-64 only")

CASES = sorted((Path(__file__).parents[2] / "golden" / "dockerfile").iterdir())
PIECES = (
    *("FROM a", "RUN x", "RUN ", "CMD ", "COPY ", "ENV ", "LABEL ", "ONBUILD ", "EXPOSE 80 ", "HEALTHCHECK ", "SHELL "),
    *("ARG ", "USER u", "VOLUME ", "WORKDIR /", "ENTRYPOINT ", "STOPSIGNAL ", "MAINTAINER me", "ADD ", "run "),
    *('["a", "b"]', '[ "a" , "b" ]', "[]", '["a",1]', '["a"', "--chown=1:2 ", '--x="q r" ', "--from=", "-- ", "NONE"),
    *("\n", "\n\n", "\r\n", "\\\n", "\\  \n", "`\n", "# c\n", "  # c\n", "# escape=`\n", "#syntax=x\n"),
    *("<<EOF ", "<<-EOF ", "<<'EOF' ", '<<"E F" ', "EOF\n", "\tEOF\n", "E F\n", "<<A <<B ", "A\n", "B\n", "3<<EOF "),
    *("A=b ", 'A="b c" ', "A='b c' ", "A=b\\ c ", "A ", "a b", "$x", "${x}", "|", "&&", "#", "="),
    *("\t", " ", '"', "'", "\\", "é", "\f", "\v"),
)
FILES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=10).map(lambda pieces: "FROM x\n" + "".join(pieces))

Parse = Callable[[str], Any]


@pytest.fixture(scope="module")
def buildkit() -> Iterator[Parse]:
    command = [sys.executable, Path(__file__).with_name("buildkit.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(text: str) -> Any:
            questions.write(json.dumps(text) + "\n")
            questions.flush()
            return json.loads(answers.readline())

        yield ask
        questions.close()


def ours(text: str) -> Any:
    try:
        return [show(node) for node in parse(text).nodes]
    except DockerfileError as error:
        return error.message


def show(node: Node) -> dict[str, Any]:
    inner = node.trigger or node
    heredocs = [[each.name, each.fd, each.content] for each in inner.heredocs]
    original = node.original + "".join(f"\n{each.content}{each.name}" for each in inner.heredocs)
    return {
        "keyword": [node.keyword, node.trigger.keyword if node.trigger else ""],
        "is_json": inner.is_json,
        "original": original + ("\n" if heredocs else ""),
        "lines": [node.start_line, node.end_line],
        "flags": list(inner.flags),
        "arguments": list(inner.arguments),
        "heredocs": heredocs,
    }


def alike(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Both without what the binding can't show: flags and here-documents behind ONBUILD, no arguments for none.

    BuildKit reads flags byte by byte, each as a character: `é` becomes `Ã©` there, and stays `é` with us.
    """
    if isinstance(theirs, list) and any(node["keyword"][0] is None for node in theirs):
        theirs = "unknown instruction: "  # is said by who reads the nodes
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours.rpartition(theirs)[1], theirs
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours, theirs
    for node in theirs:
        node["flags"] = [flag.encode("latin-1").decode() for flag in node["flags"]]
    for node in [*ours, *theirs]:
        node["arguments"] = [] if node["arguments"] == [""] else node["arguments"]
        if node["keyword"][1]:
            del node["flags"], node["heredocs"], node["original"]
    return ours, theirs


def differs_by_age(ours: Any, theirs: Any) -> bool:
    """Since 0.13 an array with anything behind it is no JSON form: what it holds is words, or opens here-documents."""
    if isinstance(theirs, str):
        return "strings only" in theirs
    if isinstance(ours, str):
        return "unterminated heredoc" in ours and any(node["is_json"] for node in theirs)
    return any(a["is_json"] != b["is_json"] for a, b in zip(ours, theirs, strict=False))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_case(buildkit: Parse, case: Path) -> None:
    try:
        text = (case / "Dockerfile").read_bytes().decode()
    except UnicodeDecodeError:
        return  # refused before it is parsed
    mine, theirs = alike(ours(text), buildkit(text))
    if isinstance(mine, str) and isinstance(theirs, list):
        assert case.name.startswith("bad-")  # by what an instruction may say: no question for the parser
    elif not differs_by_age(mine, theirs):
        assert mine == theirs


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=FILES)
def test_anything(buildkit: Parse, text: str) -> None:
    mine, theirs = alike(ours(text), buildkit(text))
    if not differs_by_age(mine, theirs):
        assert mine == theirs
