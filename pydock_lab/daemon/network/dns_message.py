"""DNS messages as bytes: read one question, write one answer. Nothing else of the protocol is needed here.

What is not ours to answer is passed on and back as it is. Source: RFC 1035 section 4, RFC 6891 (the size
that a client takes over UDP).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

TYPE_A, TYPE_PTR, TYPE_AAAA, TYPE_OPT = 1, 12, 28, 41
CLASS_IN = 1
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

_HEADER = struct.Struct("!6H")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_TTL_S = 600  # Docker's
_UDP_BYTES = 512
_LABEL_BYTES = 63
_NAME_BYTES = 255
_NAME_OF_QUESTION = 0xC000 | _HEADER.size


@dataclass(frozen=True)
class Query:
    """One question.

    Attributes:
        name: Lower case, without the dot at the end.
        kind: TYPE_*, or any other number.
        limit: Bytes that an answer over UDP may have.
        head: The message's header fields that an answer repeats: its id and flags.
        question: The question's own bytes, which an answer repeats letter by letter.
    """

    name: str
    kind: int
    limit: int
    head: tuple[int, int]
    question: bytes


def read_query(message: bytes) -> Query | None:
    """Read a standard query with one question of class IN; None for anything else."""
    if len(message) < _HEADER.size:
        return None
    identifier, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels, at = [], _HEADER.size
    while at < len(message) and (length := message[at]):
        if length > _LABEL_BYTES or at - _HEADER.size > _NAME_BYTES:
            return None  # a question has nothing to point back to
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    end = at + 5
    if end > len(message):
        return None
    kind, klass = struct.unpack_from("!HH", message, at + 1)
    if klass != CLASS_IN:
        return None
    limit = _UDP_BYTES
    if additional and not answers and not authorities and len(message) >= end + 5 and message[end] == 0:
        record, size = struct.unpack_from("!HH", message, end + 1)
        if record == TYPE_OPT:
            limit = max(limit, size)
    name = b".".join(labels).decode("latin-1").lower()
    return Query(name, kind, limit, (identifier, flags), message[_HEADER.size : end])


def address_answer(query: Query, addresses: Sequence[str], *, limit: int = 0) -> bytes:
    """Answer with addresses of the family that was asked for; none at all is an answer too.

    Args:
        query: Of type A or AAAA.
        addresses: As text.
        limit: Bytes; 0 for what the query allows over UDP.
    """
    return _answer(query, [ipaddress.ip_address(address).packed for address in addresses], limit or query.limit)


def name_answer(query: Query, name: str) -> bytes:
    """Answer a PTR query with a name."""
    labels = [label.encode() for label in name.split(".") if label]
    return _answer(query, [b"".join(bytes([len(label)]) + label for label in labels) + b"\0"], query.limit)


def failure(query: Query, code: int) -> bytes:
    """Answer with a response code and nothing else."""
    return _head(query, code, 0) + query.question


def response_code(message: bytes) -> int:
    """Return a response's code; SERVFAIL where it is no response."""
    return message[3] & 0xF if len(message) >= _HEADER.size else SERVFAIL


def address_of_reverse_name(name: str) -> str:
    """`2.0.18.172.in-addr.arpa` → `172.18.0.2`; "" for what is no such name. Knows ip6.arpa too."""
    labels = name.split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"]:
            return str(ipaddress.IPv4Address(".".join(reversed(labels[:-2]))))
        if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34:
            return str(ipaddress.IPv6Address(int("".join(reversed(labels[:-2])), 16)))
    except ValueError:
        pass
    return ""


def _answer(query: Query, records: list[bytes], limit: int) -> bytes:
    body = b""
    for count, record in enumerate(records):
        one = struct.pack("!HHHIH", _NAME_OF_QUESTION, query.kind, CLASS_IN, _TTL_S, len(record)) + record
        if _HEADER.size + len(query.question) + len(body) + len(one) > limit:
            return _head(query, NOERROR | _TRUNCATED, count) + query.question + body
        body += one
    return _head(query, NOERROR, len(records)) + query.question + body


def _head(query: Query, code: int, answers: int) -> bytes:
    identifier, flags = query.head
    flags = _RESPONSE | flags & _RECURSION_DESIRED | _RECURSION_AVAILABLE | code
    return _HEADER.pack(identifier, flags, 1, answers, 0, 0)
