"""The user's terminal: raw mode, the container's bytes both ways, the size of the window.

Source: termios(3), docker/cli cli/command/container/hijack.go.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator

from pydock_lab.client.commands.session import ResizeCallback
from pydock_lab.client.detach import DetachKeys
from pydock_lab.client.hijack import HijackedStream

_CHUNK = 65536


class LocalTerminal:
    """A terminal on two descriptors of this process.

    Args:
        stdin, stdout: Its descriptors.
    """

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        self._stdin = stdin
        self._stdout = stdout

    def size(self) -> tuple[int, int]:
        """Return rows and columns."""
        columns, rows = os.get_terminal_size(self._stdout)
        return rows, columns

    def attach(self, stream: HijackedStream, *, detach_keys: bytes, resized: ResizeCallback) -> bool:
        """Carry bytes both ways until the stream ends; return whether the user detached instead.

        Args:
            stream: Of a container with a tty.
            detach_keys: End the session and leave the container running; b"" where stdin isn't attached.
            resized: Told the size of the window now and at every change.
        """
        with self._raw() if detach_keys else contextlib.nullcontext(), self._size_watched(resized):
            return self._carry(stream, detach_keys)

    def _carry(self, stream: HijackedStream, detach_keys: bytes) -> bool:
        keys = DetachKeys(detach_keys)
        watched = [stream.fileno(), self._stdin] if detach_keys else [stream.fileno()]
        while True:
            ready = [stream.fileno()] if stream.pending else select.select(watched, [], [])[0]
            if stream.fileno() in ready:
                data = stream.read(_CHUNK)
                if not data:
                    return False
                _write_all(self._stdout, data)
            if self._stdin in ready:
                typed = os.read(self._stdin, _CHUNK)
                if not typed:
                    stream.close_write()
                    watched = [stream.fileno()]
                    continue
                passed, detached = keys.feed(typed)
                if passed:
                    stream.write(passed)
                if detached:
                    return True

    @contextlib.contextmanager
    def _raw(self) -> Iterator[None]:
        """Hand every key to the container, Ctrl-C too; put the terminal back whatever happens."""
        before = termios.tcgetattr(self._stdin)
        tty.setraw(self._stdin, termios.TCSANOW)  # keeps what was typed ahead
        try:
            yield
        finally:
            termios.tcsetattr(self._stdin, termios.TCSADRAIN, before)

    @contextlib.contextmanager
    def _size_watched(self, resized: ResizeCallback) -> Iterator[None]:
        def tell(*_: object) -> None:
            # The process may be gone, or not there yet: its window is no reason to fail.
            with contextlib.suppress(Exception):
                resized(*self.size())

        previous = signal.signal(signal.SIGWINCH, tell)
        tell()
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, previous)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
