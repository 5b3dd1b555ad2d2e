"""Frames, hijacked connections and detach keys, however the bytes are cut up."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.commands.container.foreground import parse_detach_keys
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.hijack import demultiplex, hijack
from pydock_lab.client.terminal import DetachKeys
from tests.unit.client.scripted import scripted

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=8)


@given(FRAMES, st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_frames_survive_any_cutting(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(struct.pack(">BxxxL", kind, len(payload)) + payload for kind, payload in frames)
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    got = {"stdout": b"", "stderr": b""}
    for stream, payload in demultiplex(pieces):
        got[stream] += payload
    assert got["stdout"] == b"".join(payload for kind, payload in frames if kind == 1)
    assert got["stderr"] == b"".join(payload for kind, payload in frames if kind == 2)


def test_output_in_the_same_packet_as_the_answer_is_kept(tmp_path: Path) -> None:
    frame = struct.pack(">BxxxL", 1, 6) + b"early\n"
    answer = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n" + frame
    with scripted(tmp_path, [answer]) as endpoint:
        stream = hijack(endpoint, "/v1.41/exec/x/start", {})
        assert stream.pending
        assert list(stream.frames()) == [("stdout", b"early\n")]
        stream.close()


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 23\r\n\r\n{"message":"No such x"}\n',
        b'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n{"message":"No such x"}\r\n0\r\n\r\n',
    ],
)
def test_a_refusal_is_the_engines_message(tmp_path: Path, answer: bytes) -> None:
    with scripted(tmp_path, [answer]) as endpoint, pytest.raises(CommandError) as caught:
        hijack(endpoint, "/containers/x/attach")
    assert caught.value.message == "Error response from daemon: No such x"


def test_detach_keys() -> None:
    assert parse_detach_keys("") == b"\x10\x11"
    assert parse_detach_keys("ctrl-a,x") == b"\x01x"
    with pytest.raises(CommandError):
        parse_detach_keys("ctrl-ä!")


@given(st.binary(max_size=20).filter(lambda data: b"\x10\x11" not in data), st.integers(1, 5))
def test_what_is_typed_passes_until_the_detach_keys(typed: bytes, size: int) -> None:
    keys, passed = DetachKeys(b"\x10\x11"), b""
    data = typed + b"x\x10\x11"
    for at in range(0, len(data), size):
        some, done = keys.feed(data[at : at + size])
        passed += some
        if done:
            break
    assert done and passed == typed + b"x"
