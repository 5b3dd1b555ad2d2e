"""The verbs of `pydock-runtime` on containers that exist, one function each. Source: runc(8)."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from pydock_lab.daemon.linux import cgroups, syscalls
from pydock_lab.daemon.runtime.command.state import State, Store, process_start
from pydock_lab.daemon.runtime.operations.lifecycle import run_hooks
from pydock_lab.daemon.runtime.pids import same_pid_namespace
from pydock_lab.errors import Conflict, InvalidParameter, KernelError, LabError, NotFound

_KILL_PATIENCE_S = 10.0


def start(store: Store, id: str) -> None:
    """Let a created container run its program."""
    state = store.load(id)
    status = store.status(state)
    if status == "stopped":
        raise Conflict("cannot start a container that has stopped")
    fifo = os.path.join(store.directory(id), "exec.fifo")
    if status != "created":
        raise Conflict("cannot start an already running container")
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: nobody waits at its other end
        raise LabError("container process is already dead") from None
    os.unlink(fifo)
    os.write(fd, b"0")
    os.close(fd)
    run_hooks("poststart", (state.config.get("hooks") or {}).get("poststart") or (), state.document("running"))


def kill(store: Store, id: str, signum: int, *, everyone: bool = False) -> None:
    """Signal the init process, or every process of the container."""
    state = store.load(id)
    if everyone:
        cgroup = _cgroup(state)
        for pid in cgroup.processes() if cgroup else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        return
    if store.status(state) == "stopped":
        raise Conflict("container not running")
    os.kill(state.pid, signum)
    if signum == signal.SIGKILL and store.status(state) == "paused" and (cgroup := _cgroup(state)):
        # A process that a v1 freezer holds dies when it is thawed.
        cgroup.freeze(False)


def delete(store: Store, id: str, *, force: bool = False) -> None:
    """Remove what is left of a container."""
    try:
        state = store.load(id)
    except NotFound:
        if force:
            store.forget(id)
            return
        raise
    status = store.status(state)
    if status != "stopped":
        if not force and status != "created":
            raise Conflict(f"cannot delete container {id} that is not stopped: {status}")
        _end(state)
    cgroup = _cgroup(state)
    if cgroup:
        with contextlib.suppress(OSError):
            if cgroup.processes():
                cgroup.kill()
            cgroup.delete()
    store.forget(id)
    with contextlib.suppress(LabError):
        run_hooks("poststop", (state.config.get("hooks") or {}).get("poststop") or (), state.document("stopped"))


def _end(state: State) -> None:
    """Kill the init process and wait until it is gone."""
    with contextlib.suppress(KernelError):
        pidfd = syscalls.pidfd_open(state.pid)
        try:
            syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    cgroup = _cgroup(state)
    if cgroup:
        with contextlib.suppress(OSError):
            cgroup.freeze(False)
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while process_start(state.pid) == state.start_time:
        if time.monotonic() > deadline:
            raise LabError("container init still running")
        time.sleep(0.001)


def freeze(store: Store, id: str, *, frozen: bool) -> None:
    """Pause or resume."""
    state = store.load(id)
    status = store.status(state)
    if frozen and status not in ("running", "created"):
        raise Conflict("container not running")
    if not frozen and status != "paused":
        raise Conflict("container not paused")
    cgroup = _cgroup(state)
    with contextlib.suppress(FileNotFoundError, PermissionError):
        if cgroup is not None:
            return cgroup.freeze(frozen)
    # A plain user has no cgroups, unless they were delegated to him.
    raise LabError("cannot toggle freezer: cgroups not configured for container")


def processes(store: Store, id: str) -> list[int]:
    """Return the pids of a container."""
    state = store.load(id)
    cgroup = _cgroup(state)
    pids = cgroup.processes() if cgroup else []
    if not pids and store.status(state) != "stopped":
        pids = same_pid_namespace(state.pid)  # a plain user's container has no cgroup of its own
    return sorted(pids)


def measured(store: Store, id: str) -> tuple[State, cgroups.Cgroup]:
    """Return a container that runs, and the cgroup that counts what it uses."""
    state = store.load(id)
    cgroup = _cgroup(state)
    if store.status(state) == "stopped":
        raise LabError(f"container with id {id} is not running")
    if cgroup is None or not _exists(cgroup):
        raise LabError("the container has no cgroup")
    return state, cgroup


def update(store: Store, id: str, resources: cgroups.Resources) -> list[str]:
    """Change limits; return warnings."""
    state = store.load(id)
    cgroup = _cgroup(state)
    if cgroup is None or store.status(state) == "stopped":
        raise Conflict("container not running")
    try:
        return cgroup.apply({key: value for key, value in resources.items() if value and key != "devices"})
    except LabError as error:
        raise LabError(error.message.removeprefix("error setting cgroup config for procHooks process: ")) from None


def signal_number(text: str) -> int:
    """Return the number of `9`, `KILL` or `SIGKILL`."""
    if text.isdigit():
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return signal.Signals[name]
    except KeyError:
        raise InvalidParameter(f'unknown signal "{text}"') from None


def _exists(cgroup: cgroups.Cgroup) -> bool:
    return any(map(os.path.isdir, cgroup.paths().values()))


def _cgroup(state: State) -> cgroups.Cgroup | None:
    layout = cgroups.detect()
    return layout.cgroup(state.cgroup) if state.cgroup and layout.version else None
