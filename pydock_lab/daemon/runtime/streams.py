"""What a container prints and reads: its pipes or pty, and the clients attached to them.

Output goes to the log and to every attached client. A slow client slows only
itself: what it has not taken yet waits in memory, beyond 1 MiB in an unlinked
file; beyond 1 GiB of that the container has to wait for it, until it has taken
nothing for ten seconds and is dropped.

Source: Docker's API, "Attach to a container" (stream format, hijacking).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Callable

from pydock_lab.daemon.runtime.loop import GONE, READ, WRITE, Loop

CHUNK_BYTES = 64 * 1024
MEMORY_BYTES = 1024 * 1024
SPILL_BYTES = 1024 * 1024 * 1024
STALL_S = 10.0
# How often and how long the first output waits for a client that has not read the answer's head yet.
HEAD_POLL_S, HEAD_POLLS = 0.001, 500
STREAM_NUMBERS = {"stdout": 1, "stderr": 2}


class Backlog:
    """Bytes waiting to be sent: the oldest in memory, later ones in a file once memory is full."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._memory: deque[memoryview] = deque()
        self._in_memory = 0
        self._file: int = -1
        self._read_at = self._write_at = 0

    def __len__(self) -> int:
        return self._in_memory + self._write_at - self._read_at

    def append(self, data: bytes) -> None:
        """Add to the end."""
        if self._file < 0 and self._in_memory + len(data) <= MEMORY_BYTES:
            self._memory.append(memoryview(data))
            self._in_memory += len(data)
            return
        if self._file < 0:
            self._file = _unnamed_file(self._directory)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, self._write_at)
            self._write_at += written
            view = view[written:]

    def send(self, target: socket.socket) -> int:
        """Send as much as the socket takes; return how much that was."""
        total = 0
        while True:
            if not self._memory and not self._refill():
                return total
            try:
                sent = target.send(self._memory[0])
            except BlockingIOError:
                return total
            total += sent
            self._in_memory -= sent
            head = self._memory.popleft()
            if sent < len(head):
                self._memory.appendleft(head[sent:])

    def _refill(self) -> bool:
        """Bring the next part of the file into memory; False if there is nothing left."""
        if self._file < 0:
            return False
        data = os.pread(self._file, min(MEMORY_BYTES, self._write_at - self._read_at), self._read_at)
        if not data:
            self.close()
            return False
        self._read_at += len(data)
        self._memory.append(memoryview(data))
        self._in_memory += len(data)
        return True

    def close(self) -> None:
        """Drop the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._read_at = self._write_at = 0


def _unnamed_file(directory: str) -> int:
    """Open a file without a name; in memory where the file system has no such thing."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.memfd_create("backlog", os.MFD_CLOEXEC)


class Client:
    """One attached client: a connected socket that speaks Docker's stream format.

    Args:
        loop: The keeper's.
        connection: Duplicate of the hijacked HTTP connection; made non-blocking.
        wants: Which of `stdin`, `stdout`, `stderr`.
        tty: Raw bytes, no frames.
        initial: Bytes of stdin that came with the request.
        detach_keys: Typed in this order they end the attachment (tty only); empty for never.
        spill_directory: Where a backlog may go; on a disk.
        held: Send nothing before `release`: the daemon writes what was printed earlier first.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        *,
        wants: set[str],
        tty: bool,
        initial: bytes = b"",
        detach_keys: bytes = b"",
        spill_directory: str = "",
        held: bool = False,
    ) -> None:
        self._loop = loop
        self._socket = connection
        self._socket.setblocking(False)
        self.wants = wants
        self.tty = tty
        self._detach = DetachKeys(detach_keys if tty else b"")
        self._backlog = Backlog(spill_directory)
        self._taken_at = time.monotonic()
        self._ending = False
        self._reading = False
        self._stdin_ended = False
        self._initial = initial
        self._held = held
        self._polls = HEAD_POLLS if connection.family == socket.AF_UNIX else 0
        self._mask = 0
        self.open = True
        # Set by the process it is attached to.
        self.on_input: Callable[[Client, bytes], None] = lambda client, data: None
        self.on_input_end: Callable[[Client], None] = lambda client: None
        self.on_gone: Callable[[Client, bool], None] = lambda client, detached: None
        loop.add(connection.fileno(), 0, self._on_events)

    def start(self) -> None:
        """Begin to read stdin, what came with the request first."""
        if "stdin" in self.wants and self.open and not self._stdin_ended:
            self._reading = True
            self._update()
            if self._initial:
                data, self._initial = self._initial, b""
                self._take_input(data)

    def pause(self, paused: bool) -> None:
        """Stop or go on reading stdin, as the container's pipe fills and empties."""
        self._reading = not paused and "stdin" in self.wants and not self._stdin_ended
        self._update()

    @property
    def congested(self) -> bool:
        """True if the container should wait for it."""
        return self.open and len(self._backlog) > SPILL_BYTES

    @property
    def stalled(self) -> bool:
        """True if it has taken nothing for so long that it is to be dropped."""
        return time.monotonic() - self._taken_at > STALL_S

    def send(self, stream: str, data: bytes) -> None:
        """Send output, or keep it until it can be sent."""
        if not self.open or self._ending:
            return
        raw = data if self.tty else struct.pack(">BxxxI", STREAM_NUMBERS[stream], len(data)) + data
        if self._polls and not self._held:
            self._wait_for_reader()
        if not len(self._backlog) and not self._held:
            try:
                sent = self._socket.send(raw)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
            if sent:
                self._taken_at = time.monotonic()
            if sent == len(raw):
                return
            raw = raw[sent:]
        self._backlog.append(raw)
        self._update()

    def _wait_for_reader(self) -> None:
        """Hold output back until the client has read the head of the answer.

        docker-py reads the head through a buffer that it then throws away, with whatever output came
        along. Only a unix socket tells what its peer has not read yet (unix(7), SIOCOUTQ).
        """
        unread = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0] if self.open else 0
        self._polls = self._polls - 1 if unread else 0
        if self._polls:
            self._held = True
            self._loop.after(HEAD_POLL_S, self._wait_for_reader)
        elif self._held:
            self.release()

    def finish(self) -> None:
        """Close once everything has been sent."""
        self._ending = True
        self._reading = False
        if len(self._backlog) or self._held:
            self._update()
        else:
            self.drop()

    def release(self) -> None:
        """Begin to send."""
        self._held = False
        if self._ending:
            self.finish()
        else:
            self._update()

    def leave(self) -> None:
        """Close only this process's end: the daemon still has something to say to the peer."""
        if self.open:
            self.open = False
            self._loop.remove(self._socket.fileno())
            self._backlog.close()
            self._socket.close()
            self.on_gone(self, False)

    def drop(self, *, detached: bool = False) -> None:
        """Close now: the peer sees the end of the stream, even if the daemon still holds the socket."""
        if not self.open:
            return
        self.open = False
        self._loop.remove(self._socket.fileno())
        self._backlog.close()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            # Unread input would turn the peer's end of stream into "connection reset" (unix(7)).
            while self._socket.recv(CHUNK_BYTES):
                pass
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.on_gone(self, detached)

    def _update(self) -> None:
        if not self.open:
            return
        mask = (READ if self._reading else 0) | (WRITE if len(self._backlog) and not self._held else 0)
        if mask != self._mask:
            self._mask = mask
            self._loop.change(self._socket.fileno(), mask)

    def _on_events(self, events: int) -> None:
        if events & WRITE:
            try:
                if self._backlog.send(self._socket):
                    self._taken_at = time.monotonic()
            except OSError:
                self.drop()
                return
            if self._ending and not len(self._backlog):
                self.drop()
                return
            self._update()
        if events & READ and self._reading:
            try:
                data = self._socket.recv(CHUNK_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.drop()
                return
            if data:
                self._take_input(data)
            else:
                self._end_input()
        elif events & GONE and not events & READ:
            self.drop()

    def _take_input(self, data: bytes) -> None:
        passed, detached = self._detach.feed(data)
        if passed:
            self.on_input(self, passed)
        if detached:
            self.drop(detached=True)

    def _end_input(self) -> None:
        """Half-close of the client: end of stdin, while output goes on."""
        self._stdin_ended = True
        self._reading = False
        self._update()
        self.on_input_end(self)


class DetachKeys:
    """Looks for the detach sequence in what is typed; a partial match that fails is passed on."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on, and whether the sequence was completed."""
        if not self._keys:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed), False


class Input:
    """The container's stdin: a pipe's write end or a pty's master, with what it has not taken yet."""

    def __init__(self, loop: Loop, fd: int, *, on_drained: Callable[[], None]) -> None:
        self._loop = loop
        self.fd = fd
        os.set_blocking(fd, False)
        self._waiting: deque[memoryview] = deque()
        self._ending = False
        self._on_drained = on_drained
        self._watched = False

    @property
    def full(self) -> bool:
        """True while bytes wait for the container to read."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """Pass bytes on, or keep them."""
        if self.fd >= 0 and not self._ending:
            self._waiting.append(memoryview(data))
            self._flush(0)

    def end(self) -> None:
        """Close once everything has been taken: the container reads the end of the file."""
        self._ending = True
        self._flush(0)

    def _flush(self, events: int) -> None:
        try:
            while self._waiting and self.fd >= 0:
                written = os.write(self.fd, self._waiting[0])
                head = self._waiting.popleft()
                if written < len(head):
                    self._waiting.appendleft(head[written:])
        except BlockingIOError:
            self._watch()
            return
        except OSError:
            self._waiting.clear()
            self.close()
        if self._ending:
            self.close()
        elif self._watched:
            self._watched = False
            self._loop.remove(self.fd)
            self._on_drained()

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self._loop.add(self.fd, WRITE, self._flush)

    def close(self) -> None:
        """Close at once."""
        if self.fd >= 0:
            if self._watched:
                self._loop.remove(self.fd)
            os.close(self.fd)
            self.fd = -1
