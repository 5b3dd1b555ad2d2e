"""Every operator of `${…}`, and what is wrong with a `$`."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.compose.interpolation import Malformed, Required, Variable, substitute, variables_of

VALUES = {"SET": "value", "EMPTY": "", "OTHER": "else"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("${SET}!", "value!"),
        ("a$SET-b", "avalue-b"),
        ("$$SET $${SET}", "$SET ${SET}"),
        ("${MISSING}", ""),
        ("${MISSING-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${EMPTY:-d}", "d"),
        ("${SET:-d}", "value"),
        ("${MISSING:-${OTHER}}", "else"),
        ("${MISSING:-${ALSO:-deep}}", "deep"),
        ("${MISSING:-a:b/c?d}", "a:b/c?d"),
        ("${SET+yes}", "yes"),
        ("${EMPTY+yes}", "yes"),
        ("${EMPTY:+yes}", ""),
        ("${MISSING+yes}", ""),
        ("${SET?needed}", "value"),
        ("${EMPTY?needed}", ""),
    ],
)
def test_operators(text: str, expected: str) -> None:
    assert substitute(text, VALUES) == expected


@pytest.mark.parametrize("text", ["${", "${}", "${SET", "${1}", "${SET!x}", "${ SET }"])
def test_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        substitute(text, VALUES)


@pytest.mark.parametrize("text", ["${MISSING?the $OTHER}", "${EMPTY:?the $OTHER}"])
def test_required(text: str) -> None:
    with pytest.raises(Required, match="is missing a value: the else"):
        substitute(text, VALUES)


def test_unset_names_are_told() -> None:
    told: list[str] = []
    substitute("$A ${B} ${C:-x} $SET", VALUES, told.append)
    assert told == ["A", "B"]


@given(st.text())
def test_escaping_dollars_is_undone(text: str) -> None:
    assert substitute(text.replace("$", "$$"), VALUES) == text


@given(st.text(alphabet="${}:-?+AB_ x", max_size=20))
def test_nothing_but_its_own_errors(text: str) -> None:
    with contextlib.suppress(Malformed, Required):
        substitute(text, VALUES)


def test_variables_are_found_with_what_stands_for_them() -> None:
    found = variables_of({"a": ["$A $$B", "${C:-${D-d}}"], "e": {"f": "${F:?must} ${G:+alt}", "h": 1}})
    assert list(found) == [
        Variable("A"),
        Variable("C", default="${D-d}"),
        Variable("D", default="d"),
        Variable("F", required=True),
        Variable("G", alternate="alt"),
    ]
    with pytest.raises(Malformed):
        list(variables_of(["${1}"]))
