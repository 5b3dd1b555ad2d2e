"""The words of a magic's line: a shell's quoting, Python's variables."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.errors import InvalidParameter
from pydock_lab.notebook.words import split

NAMESPACE = {
    "tag": "notes-app:1.0",
    "port": 5000,
    "two": "a b",
    "ids": ["c1", "c 2"],
    "web": {"name": "web}1"},
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --rm alpine true", ["run", "--rm", "alpine", "true"]),
        ("run   -e 'A=1 2'  -e \"B=3 4\"", ["run", "-e", "A=1 2", "-e", "B=3 4"]),
        ("-e A='' x", ["-e", "A=", "x"]),
        (r"a\ b \$tag", ["a b", "$tag"]),
        ("build -t $tag .", ["build", "-t", "notes-app:1.0", "."]),
        ("build -t ${tag} .", ["build", "-t", "notes-app:1.0", "."]),
        ("-p {port + 1}:{port}", ["-p", "5001:5000"]),
        ("-p 127.0.0.1:$port:80", ["-p", "127.0.0.1:5000:80"]),
        ("rm $ids", ["rm", "c1", "c 2"]),
        ("echo $two", ["echo", "a", "b"]),
        ('echo "$two" "{ids}"', ["echo", "a b", "c1 c 2"]),
        ("""x {web["name"]}""", ["x", "web}1"]),
        # left for the container's shell, or for Docker
        ("sh -c 'echo $tag {port}'", ["sh", "-c", "echo $tag {port}"]),
        ('sh -c "echo $HOME ${HOME}"', ["sh", "-c", "echo $HOME ${HOME}"]),
        ("ps --format '{{.Names}}'", ["ps", "--format", "{{.Names}}"]),
        ("ps --format {{.Names}}\\t{{.ID}}", ["ps", "--format", "{{.Names}}t{{.ID}}"]),
        ('ps --format "{{json .}}"', ["ps", "--format", "{{json .}}"]),
        ("rm {a,b}", ["rm", "{a,b}"]),
        ("""-d '{"a": 1}'""", ["-d", '{"a": 1}']),
        ("run alpine # the smallest", ["run", "alpine"]),
        ("run a#b", ["run", "a#b"]),
        ("run \\\n  alpine", ["run", "alpine"]),
    ],
)
def test_words_are_those_of_a_shell_with_python_variables(line: str, words: list[str]) -> None:
    assert split(line, NAMESPACE) == words


def test_substitution_gives_one_word_per_line() -> None:
    asked: list[str] = []

    def substitute(command: str) -> str:
        asked.append(command)
        return "one\ntwo\n"

    assert split("rm $(docker ps -a -q)", {}, substitute) == ["rm", "one", "two"]
    assert split('rm "$(docker ps -a -q)"', {}, substitute) == ["rm", "one\ntwo"]
    assert asked == ["docker ps -a -q"] * 2


def test_substitution_that_prints_nothing_gives_no_word() -> None:
    assert split("stop $(docker ps -q)", {}, lambda command: "") == ["stop"]


def test_substitution_is_left_alone_in_single_quotes_or_without_a_way_to_run_it() -> None:
    assert split("sh -c 'echo $(date)'", {}, lambda command: "never") == ["sh", "-c", "echo $(date)"]
    assert split("echo $(date)", {}) == ["echo", "$(date)"]


@pytest.mark.parametrize("line", ["run 'a", 'run "a', "rm $(docker ps"])
def test_what_is_not_closed_is_an_error(line: str) -> None:
    with pytest.raises(InvalidParameter, match="unexpected end of line"):
        split(line, {}, lambda command: "")


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=20), max_size=6))
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split(shlex.join(words), NAMESPACE) == words
