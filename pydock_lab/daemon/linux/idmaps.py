"""Id maps of a user namespace, and of a mount: which ids of ours its ids are.

They are written from outside, once: by root itself, by a plain user's
`newuidmap` and `newgidmap` where ids beside his own are mapped, or by the plain
user for his own id alone, who then gives up setgroups(2).

Source: user_namespaces(7), newuidmap(1).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from pydock_lab.daemon.linux import controlfiles, syscalls
from pydock_lab.errors import KernelError, LabError

# As in an OCI config: containerID, hostID, size.
Mapping = dict[str, int]


def write(pid: int, uids: Sequence[Mapping], gids: Sequence[Mapping]) -> None:
    """Map the ids of a process that is in a new user namespace.

    Raises:
        KernelError: the kernel doesn't take a map.
        LabError: newuidmap or newgidmap is missing, or refuses.
    """
    _write(pid, "newuidmap", "uid_map", uids, os.geteuid())
    if os.geteuid() and _is_own(gids, os.getegid()):
        controlfiles.write(f"/proc/{pid}/setgroups", "deny")
    _write(pid, "newgidmap", "gid_map", gids, os.getegid())


def _write(pid: int, program: str, name: str, mappings: Sequence[Mapping], own: int) -> None:
    lines = [f"{mapping['containerID']} {mapping['hostID']} {mapping['size']}" for mapping in mappings]
    if os.geteuid() == 0 or _is_own(mappings, own):
        path = f"/proc/{pid}/{name}"
        try:
            controlfiles.write(path, "\n".join(lines))
        except OSError as error:
            raise KernelError("write", error.errno or 0, path) from None
        return
    words = [word for line in lines for word in line.split()]
    try:
        helper = os.posix_spawnp(program, [program, str(pid), *words], os.environ)
    except FileNotFoundError:
        raise LabError(f"{program}: executable file not found in $PATH") from None
    status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if status:
        raise LabError(f"{program} ended with status {status}")


def _is_own(mappings: Sequence[Mapping], own: int) -> bool:
    """True of a map that a plain user may write himself: one id, his own."""
    return len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == own


def namespace(uids: Sequence[Mapping], gids: Sequence[Mapping]) -> int:
    """Return an fd of a user namespace with these maps; nobody is in it, it only says how ids are mapped."""
    pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWUSER)
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        pid = syscalls.pid_of(pidfd)  # this process may be in another pid namespace than its /proc
        write(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


def to_host(id: int, mappings: Sequence[Mapping]) -> int | None:
    """Return what an id of the namespace is outside, None where it is nobody's."""
    for mapping in mappings:
        offset = id - mapping["containerID"]
        if 0 <= offset < mapping["size"]:
            return mapping["hostID"] + offset
    return None


def inside_namespace(path: str = "/proc/self/uid_map") -> bool:
    """True if this process is in a user namespace that isn't the first."""
    return controlfiles.read(path).split() not in ([], ["0", "0", "4294967295"])
