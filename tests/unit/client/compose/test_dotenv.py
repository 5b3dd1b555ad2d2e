"""Lines of `.env` as Compose reads them."""

from __future__ import annotations

import pytest

from pydock_lab.client.compose.dotenv import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("# comment\n\nexport A=1 # tail\nB=a#b", {"A": "1", "B": "a#b"}),
        ("A='$HOST \\n'\nB=\"$HOST\\n\"", {"A": "$HOST \\n", "B": "here\n"}),
        ("A=1\nB=${A}2\nC=${NO:-x}", {"A": "1", "B": "12", "C": "x"}),
        ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
        ("A=\nB", {"A": ""}),
        ("HOST\n", {"HOST": "here"}),
        ("A: yaml", {"A": "yaml"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=", {"A": ""}),
        ("", {}),
    ],
)
def test_lines(text: str, expected: dict[str, str]) -> None:
    assert parse(text, {"HOST": "here"}) == expected


@pytest.mark.parametrize(("text", "line"), [("A=1\nfoo bar", 2), ('\nA="open', 2), ("=x", 1)])
def test_errors_have_their_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}"):
        parse(text, {}, name="x.env")
