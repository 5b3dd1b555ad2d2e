"""`pydock daemon` of a plain user: make namespaces, run the daemon in them, stay outside as its broker.

    parent (the user, host's namespaces)          child
    ──────────────────────────────────────        ────────────────────────────────────────────
    fork ───────────────────────────────────────▶ unshare user, mount, network namespace
    write uid_map, gid_map               ◀─────── "unshared"
                                         ───────▶ become id 0, slave mounts, note the inodes
    broker: sockets and names, signals            exec `python -m pydock_lab.daemon --broker-fd N …`
    exit with the daemon's status        ◀─────── exit

Runs before anything else of the daemon is imported: unshare(CLONE_NEWUSER)
fails in a threaded process, and the parent stays small. Standard library only.

Source: user_namespaces(7), unshare(2).
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from pydock_lab.daemon.linux.mounts import MS_REC, MS_SLAVE
from pydock_lab.daemon.linux.syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    PR_SET_PDEATHSIG,
    mount,
    prctl,
    unshare,
)
from pydock_lab.daemon.rootless import broker, idmap, namespaces
from pydock_lab.errors import KernelError, Unavailable

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
_HINT = "this system does not let a plain user make namespaces: run as root, or see `pydock doctor`"


def run(command: list[str], exec_root: Path) -> int:
    """Run the daemon in namespaces of its own; return its exit status.

    Args:
        command: The daemon's command line; `--broker-fd N` and perhaps `--single-id` are added to it.
        exec_root: Where the namespaces are noted.

    Raises:
        Unavailable: the system does not let this user make namespaces.
    """
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        try:
            outside.close()
            _become_daemon(command, exec_root, inside)
        except (OSError, KernelError) as error:
            inside.send(f"failed {error}".encode())
        finally:
            os._exit(1)
    for signum in _FORWARDED:
        signal.signal(signum, lambda received, _: _forward(child, received))
    inside.close()
    _settle(outside, child)
    ended = os.pidfd_open(child)  # readable once the child has ended
    broker.serve(outside, ended)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _settle(outside: socket.socket, child: int) -> None:
    """Do the parent's part of the child's set-up."""
    said = outside.recv(4096).decode()
    if said == "unshared":
        try:
            single = idmap.write_maps(child)
        except OSError as error:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise Unavailable(f"can't map user ids: {error.strerror}", hint=_HINT) from error
        outside.send(b"single" if single else b"range")
        said = outside.recv(4096).decode()
    if said != "ready":
        os.waitpid(child, 0)
        raise Unavailable(f"can't run rootless: {said.removeprefix('failed ') or 'the child ended'}", hint=_HINT)


def _forward(child: int, signum: int) -> None:
    try:
        os.kill(child, signum)
    except ProcessLookupError:
        return


def _become_daemon(command: list[str], exec_root: Path, channel: socket.socket) -> None:
    """The child: enter or make the namespaces, then become the daemon."""
    if found := namespaces.find(exec_root):
        pid, single_id = found
        namespaces.join(pid)
    else:
        unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET)
        channel.send(b"unshared")
        single_id = channel.recv(16) == b"single"
        # Slave: what the host mounts later is seen here, what is mounted here stays here.
        mount("none", "/", None, MS_REC | MS_SLAVE)
    if not single_id:
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    namespaces.note(exec_root, single_id=single_id)
    # After the credentials have changed, which clears it: if the broker is killed, stop in good order.
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    channel.send(b"ready")
    channel.set_inheritable(True)
    added = ["--broker-fd", str(channel.fileno()), *(["--single-id"] if single_id else [])]
    os.execvp(command[0], [*command, *added])
