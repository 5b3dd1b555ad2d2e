"""Answers are read whole however they are sent, and a cut one is an error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.wire import exchange
from tests.unit.client.scripted import scripted

LINES = st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and b"\r" not in line), max_size=6)


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@settings(max_examples=40)
@given(LINES, st.integers(1, 9), st.sampled_from(["length", "chunks", "close"]), st.integers(1, 30))
def test_a_body_survives_any_framing_and_cutting(lines: list[bytes], size: int, framing: str, cut: int) -> None:
    body = b"".join(line + b"\n" for line in lines)
    head = {
        "length": b"Content-Length: %d\r\n" % len(body),
        "chunks": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }[framing]
    data = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + (chunked(body, size) if framing == "chunks" else body)
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    with tempfile.TemporaryDirectory() as directory, scripted(Path(directory), pieces) as endpoint:
        with exchange(endpoint, "GET", "/lines") as response:
            assert list(response.iter_lines()) == lines


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_a_cut_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    with scripted(tmp_path, [answer]) as endpoint, pytest.raises(CommandError, match="closed the connection"):
        _ = exchange(endpoint, "GET", "/x").content


def test_a_refusal_carries_status_words_and_hint(tmp_path: Path) -> None:
    body = b'{"message":"No such image: x","hint":"pull it"}'
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with scripted(tmp_path, [answer]) as endpoint, pytest.raises(EngineError) as caught:
        exchange(endpoint, "GET", "/images/x/json")
    error = caught.value
    assert (error.status_code, error.explanation, error.hint) == (404, "No such image: x", "pull it")
    assert error.message == "Error response from daemon: No such image: x"


def test_an_answer_without_a_body_lets_go(tmp_path: Path) -> None:
    with scripted(tmp_path, [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nX-Stat: a\r\n\r\n"]) as endpoint:
        response = exchange(endpoint, "HEAD", "/x")
    assert (response.header("x-stat"), response.content) == ("a", b"")
