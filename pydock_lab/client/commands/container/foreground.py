"""A process in the foreground: its output as it comes, stdin, Ctrl-C, its exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import ResizeCallback, Session
from pydock_lab.client.hijack import HijackedStream
from pydock_lab.errors import LabError

if TYPE_CHECKING:
    from pydock_lab.client.wire import Response

_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def carry(
    session: Session,
    stream: HijackedStream,
    *,
    tty: bool,
    interactive: bool,
    detach_keys: str,
    resized: ResizeCallback,
) -> bool:
    """Show a process's output until it ends, feeding it stdin where `-i` asked for that.

    Returns:
        Whether the user detached and left the process running.
    """
    terminal = session.output.terminal() if tty else None
    if terminal is not None:
        keys = parse_detach_keys(detach_keys) if interactive else b""
        return terminal.attach(stream, detach_keys=keys, resized=resized)
    if interactive:
        if session.stdin is None:
            stream.close_write()
        else:
            _feed(session.stdin, stream)
    for name, data in stream.chunks() if tty else stream.frames():
        session.output.write(name, data)
    return False


def require_terminal(session: Session, *, tty: bool, interactive: bool) -> None:
    """Refuse `-it` where stdin is a pipe, as Docker does.

    Raises:
        CommandError: in Docker's words.
    """
    if tty and interactive and session.stdin is not None and session.output.terminal() is None:
        raise CommandError("the input device is not a TTY")


@dataclass
class Interrupts:
    """What has come while a process ran in the foreground.

    Attributes:
        count: Of Ctrl-C and SIGTERM.
        killed: The process took no notice and was killed.
    """

    count: int = 0
    killed: bool = False


@contextlib.contextmanager
def signals_forwarded(
    forward: Callable[[str], None], *, patience: int = 3, grace_s: float | None = None
) -> Iterator[Interrupts]:
    """Hand Ctrl-C and SIGTERM to the container instead of dying of them.

    Only the main thread gets signals; elsewhere this does nothing.

    Args:
        forward: Sends a signal, by its name, to the container.
        patience: Which of the signals raises KeyboardInterrupt; the container may run on.
        grace_s: Seconds from the first signal until the container is killed, the second kills it at once; None: never.
    """
    seen = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def kill() -> None:
        seen.killed = True
        _forward(forward, "SIGKILL")

    def handle(number: int, _frame: object) -> None:
        seen.count += 1
        # In threads: the interrupted code may be inside the same HTTP client.
        if grace_s is None or seen.count == 1:
            threading.Thread(target=_forward, args=(forward, signal.Signals(number).name), daemon=True).start()
        if grace_s is not None and seen.count <= 2:
            due.append(threading.Timer(grace_s if seen.count == 1 else 0, kill))
            due[-1].daemon = True
            due[-1].start()
        if seen.count >= patience:
            raise KeyboardInterrupt

    due: list[threading.Timer] = []
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for timer in due:
            timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def start_container(session: Session, container_id: str) -> None:
    """Start a container that has been created or has stopped."""
    session.connection.request("POST", f"/containers/{container_id}/start")


def begin_wait(session: Session, container_id: str, *, condition: str) -> Response:
    """Ask the engine to tell the exit status; returns when the engine has heard, before the process need run."""
    return session.connection.request(
        "POST", f"/containers/{container_id}/wait", stream=True, query={"condition": condition}
    )


def end_wait(response: Response) -> int:
    """Return the exit status the engine promised in `begin_wait`.

    Raises:
        CommandError: the engine could not wait, in its words.
    """
    with response:
        document = response.json()
    if error := (document.get("Error") or {}).get("Message"):
        raise CommandError(f"Error response from daemon: {error}", exit_code=125)
    return int(document["StatusCode"])


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` as the bytes the keys send; empty means Docker's default, which is that.

    Raises:
        CommandError: a key is unknown.
    """
    keys = b""
    for key in (text or "ctrl-p,ctrl-q").split(","):
        name = key.removeprefix("ctrl-")
        if key == name and len(key) == 1:
            keys += key.encode()
        elif key != name and len(name) == 1 and name.isalpha():
            keys += bytes([ord(name.lower()) - ord("a") + 1])
        elif key != name and name in _CONTROL:
            keys += bytes([_CONTROL[name]])
        else:
            raise CommandError(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return keys


def _forward(forward: Callable[[str], None], name: str) -> None:
    with contextlib.suppress(LabError):  # it may have exited meanwhile
        forward(name)


def _feed(stdin: BinaryIO, stream: HijackedStream) -> None:
    def copy() -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := _read_some(stdin):
                stream.write(data)
        stream.close_write()

    threading.Thread(target=copy, name="stdin", daemon=True).start()


def _read_some(stdin: BinaryIO) -> bytes:
    """Read what is there; past Python's buffer, whose lock a thread left behind would hold at exit."""
    try:
        descriptor = stdin.fileno()
    except OSError:
        return stdin.read(65536)
    return os.read(descriptor, 65536)
