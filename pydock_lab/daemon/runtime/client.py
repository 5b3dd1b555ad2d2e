"""The engine's side of the keeper: launch, exec, attach, signal, wait; asyncio.

The keeper (keeper.py) is a small single-threaded process that the daemon execs
once. It forks containers and holds their pipes, ptys, logs and exit statuses.
It outlives a daemon that dies, and a new daemon connects to it again.
"""

from __future__ import annotations

from pathlib import Path

from pydock_lab.daemon.runtime.request import ExecRequest, Exit, Launched, LaunchRequest
from pydock_lab.daemon.trace import Trace


class Runtime:
    """The containers of one daemon, by way of its keeper."""

    def __init__(self, exec_root: Path, trace: Trace) -> None:
        self.exec_root = exec_root
        self.trace = trace

    async def start(self) -> list[str]:
        """Start the keeper, or connect to one that a dead daemon left; return ids that still run."""
        raise NotImplementedError

    async def close(self, *, stop_keeper: bool) -> None:
        """Let the keeper go; with `stop_keeper`, kill what still runs and end it."""
        raise NotImplementedError

    async def launch(self, request: LaunchRequest) -> Launched:
        """Start a container's init process; return when the process has been exec'ed.

        Raises:
            LaunchError: a step failed; nothing of the container is left (mounts, links, cgroups).
                Its `exit_code` is 126 (can't be executed), 127 (not found) or 125/128 as Docker's.
        """
        raise NotImplementedError

    async def exec(self, request: ExecRequest) -> Launched:
        """Start a further process in a running container."""
        raise NotImplementedError

    async def wait(self, process_id: str) -> Exit:
        """Wait for a container or an exec to end (any number of waiters; also after it ended)."""
        raise NotImplementedError

    async def signal(self, process_id: str, signum: int) -> None:
        """Send a signal to the init process (or the exec'ed process)."""
        raise NotImplementedError

    async def attach(
        self,
        process_id: str,
        fd: int,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
        initial: bytes = b"",
        detach_keys: bytes = b"\x10\x11",
    ) -> None:
        """Hand a connected stream socket to the keeper and return at once.

        May come before the launch (Docker's CLI attaches first): the keeper then keeps the client
        until the process starts. The keeper writes Docker's frames (8-byte header, stream 1 or 2)
        or, with `tty`, raw bytes; reads stdin from it, `initial` first; half-close of the client is
        EOF of stdin; when the process has ended and all output is sent, it shuts the socket down.
        The fd is duplicated; the caller closes its own copy.
        """
        raise NotImplementedError

    async def detached(self, process_id: str) -> None:
        """Forget a process whose launch never came (create, attach, then rm)."""
        raise NotImplementedError

    async def resize(self, process_id: str, rows: int, columns: int) -> None:
        """Set the size of the process's pty."""
        raise NotImplementedError

    async def pause(self, container_id: str) -> None:
        """Freeze every process of a container (freezer cgroup)."""
        raise NotImplementedError

    async def resume(self, container_id: str) -> None:
        """Thaw a container."""
        raise NotImplementedError

    async def processes(self, container_id: str) -> list[int]:
        """Return the host pids of a container's processes, init first."""
        raise NotImplementedError

    async def update(self, container_id: str, resources: dict[str, object]) -> None:
        """Write OCI `linux.resources` to a running container's cgroup."""
        raise NotImplementedError

    async def archive(
        self,
        operation: str,
        fd: int,
        request: LaunchRequest,
        *,
        pid: int | None,
        path: str,
        options: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Read, write or stat files of a container from inside its root, so that links can't escape.

        Args:
            operation: `get` (write a tar of `path` to fd), `put` (unpack a tar read from fd into the
                directory `path`), `stat` (nothing on fd), `export` (tar of the whole rootfs).
            fd: A pipe or socket; duplicated.
            request: The container's launch request (root overlay, mounts); used when it does not run.
            pid: Its init process when it runs, else None.
            path: Absolute inside the container.
            options: `{"no_overwrite_dir_non_dir": bool, "copy_uid_gid": bool}`.

        Returns:
            Docker's PathStat fields for get and stat:
            `{"name", "size", "mode", "mtime", "linkTarget"}`; empty for put and export.
        """
        raise NotImplementedError

    async def connect(self, container_id: str, attachment: dict[str, object]) -> None:
        """Attach a running container to one more bridge (fields of request.Attachment)."""
        raise NotImplementedError

    async def disconnect(self, container_id: str, ifname: str) -> None:
        """Take a link out of a running container."""
        raise NotImplementedError

    async def delete(self, container_id: str) -> None:
        """Remove the bundle, cgroups and the keeper's memory of a container that has ended."""
        raise NotImplementedError
