"""The errors of pydock_lab, each a category that both wings understand.

    LabError
    ├── NotFound            404  no such container, image, volume, network, …
    ├── InvalidParameter    400  the request itself is wrong
    │   └── DockerfileError      a line of a Dockerfile is wrong (carries the line)
    ├── Unauthorized        401  a registry wants credentials
    ├── Forbidden           403  the request is understood and refused
    ├── Conflict            409  the request does not fit the present state
    ├── NotModified         304  the state asked for is the state there is
    ├── NotImplementedYet   501  Docker can, this engine can't
    ├── Unavailable         503  something the request needs is not there
    └── SystemFailure       500  the engine tried and failed
        └── KernelError          a system call failed (carries syscall and errno)

Library code raises these; it never prints and never exits. Only the API's
middleware turns a category into an HTTP status, and only the magics and the
terminal turn an error into what a learner reads: `message` is Docker's own
wording where Docker has one; `hint` is one line that helps.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import ClassVar

NOT_A_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
"""What dockerd says to every request that needs a swarm."""


class LabError(Exception):
    """Base of every error the package raises on purpose.

    Args:
        message: Docker's own wording where Docker has one; no trailing full stop.
        hint: One line that tells the learner what to do next, or None.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(LabError):
    """What the request names does not exist."""

    status = 404


class InvalidParameter(LabError):
    """The request is malformed or out of range."""

    status = 400


class DockerfileError(InvalidParameter):
    """A Dockerfile can't be parsed or a step of it is wrong.

    Args:
        message: What is wrong, in BuildKit's wording.
        line: 1-based number of the line, or 0 where no line can be named.
        text: The text of that line.
    """

    def __init__(self, message: str, *, line: int = 0, text: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.text = text


class Unauthorized(LabError):
    """Credentials are missing or wrong."""

    status = 401


class Forbidden(LabError):
    """The request is understood and refused."""

    status = 403


class Conflict(LabError):
    """The request does not fit the present state (name in use, container running)."""

    status = 409


class NotModified(LabError):
    """The state asked for is the state there is already."""

    status = 304


class NotImplementedYet(LabError):
    """A part of Docker that this engine does not have."""

    status = 501


class Unavailable(LabError):
    """Something the request needs (a registry, a kernel feature) is not there."""

    status = 503


class SystemFailure(LabError):
    """The engine tried and failed for a reason of its own or of the machine."""

    status = 500


class KernelError(SystemFailure):
    """A system call failed.

    Args:
        syscall: Its name as in section 2 of the manual.
        errno: The error number it set.
        path: The path or object it was about, or None.
        hint: Why it may have failed and what to try.
    """

    def __init__(self, syscall: str, errno: int, path: str | None = None, *, hint: str | None = None) -> None:
        self.syscall = syscall
        self.errno = errno
        self.path = path
        name = _errno.errorcode.get(errno, str(errno))
        where = f" {path}" if path else ""
        super().__init__(f"{syscall}{where}: {os.strerror(errno).lower()} ({name})", hint=hint)
