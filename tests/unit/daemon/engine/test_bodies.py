"""Bodies that are refused, in the words of Go's decoder; tests/api/test_oracle_bodies.py compares them with dockerd."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from pydock_lab.daemon.engine import bodies
from pydock_lab.errors import InvalidParameter


class Inner(TypedDict, total=False):
    Memory: int


class Sample(TypedDict, total=False):
    Image: str
    Cmd: list[str] | str | None
    Env: list[str]
    Inner: Inner
    Options: dict[str, Any]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "unexpected EOF"),
        ('{"a":"', "unexpected EOF"),
        ('{"a":tr', "unexpected EOF"),
        ("{invalid", "invalid character 'i' looking for beginning of object key string"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ('{"a":x}', "invalid character 'x' looking for beginning of value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        ('{"a":"\\q"}', "invalid character 'q' in string escape code"),
        ('{"a":"\\u12x4"}', "invalid character 'x' in \\u hexadecimal character escape"),
        ('{"a":"\n"}', "invalid character '\\n' in string literal"),
        ('{"a":-x}', "invalid character 'x' in numeric literal"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        ("{} more", "unexpected content after JSON"),
        ("[]", "json: cannot unmarshal array into Go value of type Sample"),
        ('{"Image":3}', "json: cannot unmarshal number into Go struct field Sample.Image of type string"),
        ('{"Env":["a",1]}', "json: cannot unmarshal number into Go struct field Sample.Env of type string"),
        (
            '{"Inner":{"Memory":"x"}}',
            "json: cannot unmarshal string into Go struct field Sample.Inner.Memory of type int64",
        ),
    ],
)
def test_refused(body: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        bodies.read(body.encode(), Sample)
    assert refusal.value.message == f"invalid JSON: {words}"


@pytest.mark.parametrize(
    "body", ['{"a":-0.5e+7}', '{"a":[]}', '{"a":{}}', ' {"a" : "\\u00e9\\n" , "b" : null} ', '{"a":[1, {"b":false}]}']
)
def test_taken(body: str) -> None:
    assert bodies.read(body.encode(), Sample) == {}


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidParameter, match="invalid JSON"):
        bodies.read(b'{"Image":"\xff"}', Sample)
