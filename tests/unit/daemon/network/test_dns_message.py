"""DNS messages: what is read is what was asked, what is written is what a resolver reads."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.network.dns_message import (
    NXDOMAIN,
    SERVFAIL,
    TYPE_A,
    TYPE_AAAA,
    TYPE_PTR,
    address_answer,
    address_of_reverse_name,
    failure,
    name_answer,
    read_query,
    response_code,
)

OPT_1232 = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


def ask(name: str, kind: int = TYPE_A, *, flags: int = 0x0100, extra: bytes = b"") -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    header = struct.pack("!6H", 0xBEEF, flags, 1, 0, 0, 1 if extra else 0)
    return header + labels + b"\0" + struct.pack("!HH", kind, 1) + extra


def records(message: bytes, question: bytes) -> list[tuple[int, int, bytes]]:
    """(type, ttl, data) of each answer, their names pointing back to the question."""
    at, found = 12 + len(question), []
    for _ in range(struct.unpack_from("!H", message, 6)[0]):
        pointer, kind, _, ttl, length = struct.unpack_from("!HHHIH", message, at)
        assert pointer == 0xC00C
        found.append((kind, ttl, message[at + 12 : at + 12 + length]))
        at += 12 + length
    assert at == len(message)
    return found


def test_query_is_read() -> None:
    query = read_query(ask("Web.Example.ORG", TYPE_AAAA))
    assert query is not None
    assert (query.name, query.kind, query.limit) == ("web.example.org", TYPE_AAAA, 512)
    larger = read_query(ask("web", extra=OPT_1232))
    assert larger is not None
    assert larger.limit == 1232


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0" * 11,
        ask("web", flags=0x8100),  # a response
        ask("web", flags=0x2900),  # an update
        ask("web")[:-1],
        ask("web")[:12] + b"\xc0\x0c\0\1\0\1",  # a name that points at itself
        ask("web").replace(b"\0\1\0\1", b"\0\1\0\3"),  # class CHAOS
        struct.pack("!6H", 1, 0x100, 2, 0, 0, 0) + ask("web")[12:] * 2,
    ],
)
def test_what_is_no_query(message: bytes) -> None:
    assert read_query(message) is None


@given(st.binary(max_size=300))
def test_anything_can_arrive(message: bytes) -> None:
    query = read_query(message)
    assert query is None or len(failure(query, SERVFAIL)) <= len(message)


def test_answer_repeats_the_question_letter_by_letter() -> None:
    query = read_query(ask("WeB"))
    assert query is not None
    answer = address_answer(query, ["172.18.0.2", "172.18.0.3"])
    assert answer[:4] == b"\xbe\xef\x81\x80"
    assert answer[12:].startswith(b"\3WeB\0\0\1\0\1")
    assert records(answer, query.question) == [(TYPE_A, 600, b"\xac\x12\0\2"), (TYPE_A, 600, b"\xac\x12\0\3")]


def test_no_address_of_that_family_is_no_error() -> None:
    query = read_query(ask("web", TYPE_AAAA))
    assert query is not None
    answer = address_answer(query, [])
    assert (response_code(answer), records(answer, query.question)) == (0, [])


def test_an_answer_too_long_is_cut_and_says_so() -> None:
    query = read_query(ask("web"))
    assert query is not None
    many = [f"10.0.0.{number}" for number in range(100)]
    cut = address_answer(query, many)
    assert len(cut) <= 512
    assert cut[2] & 0x02
    assert len(records(cut, query.question)) == (512 - 12 - len(query.question)) // 16
    whole = address_answer(query, many, limit=65535)
    assert not whole[2] & 0x02
    assert len(records(whole, query.question)) == 100


def test_name_and_failure() -> None:
    query = read_query(ask("2.0.18.172.in-addr.arpa", TYPE_PTR))
    assert query is not None
    assert records(name_answer(query, "web.shop"), query.question) == [(TYPE_PTR, 600, b"\3web\4shop\0")]
    assert response_code(failure(query, NXDOMAIN)) == NXDOMAIN


def test_reverse_names() -> None:
    assert address_of_reverse_name("2.0.18.172.in-addr.arpa") == "172.18.0.2"
    nibbles = ".".join(reversed("fd00" + "0" * 27 + "2"))
    assert address_of_reverse_name(f"{nibbles}.ip6.arpa") == "fd00::2"
    assert address_of_reverse_name("web.example") == ""
    assert address_of_reverse_name("300.0.18.172.in-addr.arpa") == ""
