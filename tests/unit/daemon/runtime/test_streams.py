"""Detach keys and backlogs: nothing is lost, nothing is invented."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.runtime import streams
from pydock_lab.daemon.runtime.streams import Backlog, DetachKeys


@given(st.lists(st.binary(max_size=8), max_size=8), st.binary(min_size=1, max_size=4))
def test_detach_keys_pass_everything_else(chunks: list[bytes], keys: bytes) -> None:
    detector = DetachKeys(keys)
    passed = b""
    for chunk in chunks:
        part, detached = detector.feed(chunk)
        passed += part
        if detached:
            return
    everything = b"".join(chunks)
    assert everything.startswith(passed)
    held = everything[len(passed) :]
    assert keys.startswith(held)


def test_detach_keys_across_chunks() -> None:
    detector = DetachKeys(b"\x10\x11")
    assert detector.feed(b"ls\x10") == (b"ls", False)
    assert detector.feed(b"\x11rest") == (b"", True)
    assert detector.feed(b"\x10\x10\x11") == (b"\x10", True)


@pytest.mark.parametrize("pieces", [1, 50])
def test_a_backlog_spills_to_a_file_in_order(tmp_path: Path, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MEMORY_BYTES", 1000)
    backlog = Backlog(str(tmp_path))
    sent = b"".join(bytes([number]) * 300 for number in range(pieces))
    for start in range(0, len(sent), 300):
        backlog.append(sent[start : start + 300])
    assert len(backlog) == len(sent)
    assert list(tmp_path.iterdir()) == []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        got = b""
        while len(backlog):
            assert backlog.send(ours) > 0
            got += theirs.recv(1 << 20)
        assert got == sent
    backlog.close()
