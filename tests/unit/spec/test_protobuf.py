"""The wire format: what Go's protobuf writes is read, what is written can be read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec.protobuf import Message


@dataclass
class Inner(Message):
    text: Annotated[str, 1] = ""


@dataclass
class Outer(Message):
    number: Annotated[int, 1] = 0
    flag: Annotated[bool, 2] = False
    content: Annotated[bytes, 3] = b""
    inner: Annotated[Inner | None, 4] = None
    several: Annotated[list[Inner], 5] = field(default_factory=list)
    words: Annotated[list[str], 6] = field(default_factory=list)
    named: Annotated[dict[str, Inner], 20] = field(default_factory=dict)


INNER = st.builds(Inner, st.text())
OUTER = st.builds(
    Outer,
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(),
    st.none() | INNER,
    st.lists(INNER, max_size=3),
    st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(), INNER, max_size=3),
)


@given(OUTER)
def test_read_what_was_written(message: Outer) -> None:
    assert Outer.decode(message.encode()) == message


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        Outer.decode(data)
    except InvalidParameter as error:
        assert error.message.startswith("proto: ")


def test_the_bytes_are_those_of_the_specification() -> None:
    assert Outer(number=150).encode() == bytes.fromhex("089601")
    assert Inner("testing").encode() == bytes.fromhex("0a0774657374696e67")
    assert Outer(number=-1).encode() == b"\x08" + b"\xff" * 9 + b"\x01"
    unknown = bytes.fromhex("089601") + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x72\x01x"
    assert Outer.decode(unknown) == Outer(number=150), "what is not known is skipped, of any kind"
    with pytest.raises(InvalidParameter, match="unexpected EOF"):
        Outer.decode(b"\x08\x96")
