"""Wait until a container's init binary can pass signals on.

An init such as tini blocks signals, then starts the program. What reaches it
before is lost: the kernel drops a signal for pid 1 that pid 1 has no handler
for (pid_namespaces(7)), and `docker stop` right after `docker run --init`
would wait for its timeout. A child shows that init has come so far.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from pydock_lab.daemon.runtime.loop import Loop
from pydock_lab.daemon.runtime.process import Process

# An init older than this has started its program, or never will.
YOUNG_S = 1.0
# How long a signal is held back at most, and how often init is looked at meanwhile.
PATIENCE_S = 0.5
LOOK_S = 0.01
# pid 1 can neither block these nor miss them.
_UNSTOPPABLE = (signal.SIGKILL, signal.SIGSTOP)


def when_ready(loop: Loop, init: Process, signum: int, send: Callable[[], None]) -> None:
    """Call `send` at once, or as soon as a young `init` has its program, or when patience ends."""
    age_s = (time.time_ns() - init.started_at_ns) / 1e9
    if signum in _UNSTOPPABLE or not 0 <= age_s < YOUNG_S:
        send()
        return
    deadline = time.monotonic() + PATIENCE_S

    def look() -> None:
        if _has_child(init.pid) or time.monotonic() >= deadline:
            send()
        else:
            loop.after(LOOK_S, look)

    look()


def _has_child(pid: int) -> bool:
    """Tell whether a process has a child; True where it has ended or the kernel does not list children, proc(5)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return bool(children.read(1))
    except OSError:
        return True
