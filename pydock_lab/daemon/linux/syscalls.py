"""Thin typed wrappers of the system calls that `os` lacks; the one place that turns errno into KernelError.

Names are those of section 2 of the manual, constants those of the kernel's
headers. Not in scope: policy, ordering, parsing. libc is loaded as a PyDLL: the
global interpreter lock stays held, so that a `clone3` child, which shares
nothing with the parent's threads, goes on as if `os.fork()` had made it.

The callers are single-threaded processes (the keeper and its children).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal

from pydock_lab.errors import KernelError

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

# System call numbers are the same on every architecture since 424 (Linux 5.0).
NR_PIDFD_SEND_SIGNAL = 424
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_PIDFD_OPEN = 434
NR_CLONE3 = 435
NR_CLOSE_RANGE = 436
NR_OPENAT2 = 437
NR_PIDFD_GETFD = 438
NR_MOUNT_SETATTR = 442

# The older ones differ: (x86-64, the generic table of arm64 and riscv64).
_OLD_NUMBERS = {"pivot_root": (155, 41), "keyctl": (250, 219), "seccomp": (317, 277), "bpf": (321, 280)}
_COLUMN = 0 if platform.machine() in ("x86_64", "AMD64") else 1

CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

CLOSE_RANGE_CLOEXEC = 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

AT_FDCWD = -100
RESOLVE_NO_SYMLINKS = 4

KEYCTL_JOIN_SESSION_KEYRING = 1

SECCOMP_SET_MODE_FILTER = 1


class clone_args(ctypes.Structure):
    """`struct clone_args` of clone3(2)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


class sock_fprog(ctypes.Structure):
    """`struct sock_fprog` of <linux/filter.h>."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class open_how(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class cap_header(ctypes.Structure):
    """`struct __user_cap_header_struct` of capset(2)."""

    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


Argument = int | bytes | None | ctypes.Structure


def _convert(argument: Argument) -> object:
    """Widen a plain number to a machine word; a variadic call would pass it as an int."""
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    return ctypes.byref(argument) if isinstance(argument, ctypes.Structure) else argument


def _check(result: int, name: str, path: str | bytes | None = None) -> int:
    """Return a system call's result, or raise KernelError where it is -1."""
    if result < 0:
        raise KernelError(name, ctypes.get_errno(), os.fsdecode(path) if path else None)
    return result


def syscall(number: int, name: str, *arguments: Argument, path: str | bytes | None = None) -> int:
    """Make a system call by its number."""
    return _check(int(_libc.syscall(ctypes.c_long(number), *map(_convert, arguments))), name, path)


def old_number(name: str) -> int:
    """Return the number of a system call that is older than the common table."""
    return _OLD_NUMBERS[name][_COLUMN]


def clone3(flags: int, *, exit_signal: int = signal.SIGCHLD, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with namespaces: return (pid, pidfd) in the parent and (0, -1) in the child.

    Args:
        flags: CLONE_NEW* and CLONE_PARENT. The memory is copied, as in fork(2).
        exit_signal: Sent to the parent; must be 0 with CLONE_PARENT.
        cgroup_fd: A cgroup v2 directory the child is born in, or -1.

    Falls back to clone(2) and pidfd_open(2) where clone3 is unknown or filtered (then without a cgroup).
    """
    pidfd = ctypes.c_int(-1)
    arguments = clone_args(
        flags=flags | CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=exit_signal,
        cgroup=max(cgroup_fd, 0),
    )
    pid = int(_libc.syscall(ctypes.c_long(NR_CLONE3), ctypes.byref(arguments), ctypes.c_long(ctypes.sizeof(arguments))))
    if pid >= 0:
        return pid, pidfd.value
    if ctypes.get_errno() != errno.ENOSYS:
        raise KernelError("clone3", ctypes.get_errno())
    number = 56 if _COLUMN == 0 else 220
    pid = syscall(number, "clone", flags | exit_signal, 0, 0, 0, 0)
    return pid, pidfd_open(pid) if pid else -1


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Join the namespace of an nsfs fd, or those named by `flags` of a pidfd (Linux 5.8)."""
    _check(_libc.setns(fd, flags), "setns")


def pidfd_open(pid: int) -> int:
    """Return an fd that stands for a process; close-on-exec."""
    return syscall(NR_PIDFD_OPEN, "pidfd_open", pid, 0)


def pid_of(pidfd: int) -> int:
    """Return the number that the process of a pidfd has in /proc; -1 where it has ended."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="utf-8") as file:
        fields = dict(line.split(None, 1) for line in file)
    return int(fields["Pid:"])


def pidfd_send_signal(pidfd: int, signum: int) -> None:
    """Signal the process a pidfd stands for; it can't hit another that took its number."""
    syscall(NR_PIDFD_SEND_SIGNAL, "pidfd_send_signal", pidfd, signum, None, 0)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` this namespace's root and stack the old one on `put_old`."""
    syscall(old_number("pivot_root"), "pivot_root", os.fsencode(new_root), os.fsencode(put_old), path=new_root)


def close_range(first: int, last: int = 2**32 - 1, flags: int = 0) -> None:
    """Close fds `first`…`last`, or with CLOSE_RANGE_CLOEXEC mark them."""
    syscall(NR_CLOSE_RANGE, "close_range", first, last, flags)


def openat2(path: str, flags: int, resolve: int) -> int:
    """Open a file on the condition that its path is of a certain kind (RESOLVE_*)."""
    how = open_how(flags=flags, resolve=resolve)
    size = ctypes.sizeof(how)
    return syscall(NR_OPENAT2, "openat2", AT_FDCWD, os.fsencode(path), how, size, path=path)


def prctl(option: int, *arguments: int) -> int:
    """Operate on this process; missing arguments are 0."""
    words = (*arguments, 0, 0, 0, 0)[:4]
    return _check(_libc.prctl(option, *words), "prctl")


def set_name(name: str) -> None:
    """Set the name `ps` shows for this thread (15 bytes)."""
    text = ctypes.create_string_buffer(name.encode())
    prctl(PR_SET_NAME, ctypes.addressof(text))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, given as bit masks."""
    words = []
    for shift in (0, 32):
        words += [(mask >> shift) & 0xFFFFFFFF for mask in (effective, permitted, inheritable)]
    data = (ctypes.c_uint32 * 6)(*words)
    header = cap_header(version=0x20080522, pid=0)
    _check(_libc.capset(ctypes.byref(header), data), "capset")


def capget() -> int:
    """Return this thread's permitted capabilities as a bit mask."""
    header = cap_header(version=0x20080522, pid=0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(ctypes.byref(header), data), "capget")
    return int(data[1]) | int(data[4]) << 32


def keyctl(operation: int, name: str) -> int:
    """Operate on the kernel's keyrings."""
    return syscall(old_number("keyctl"), "keyctl", operation, name.encode())


def seccomp(program: bytes) -> None:
    """Install a BPF filter (8 bytes an instruction) on this thread, for good."""
    filters = sock_fprog(len=len(program) // 8, filter=program)
    syscall(old_number("seccomp"), "seccomp", SECCOMP_SET_MODE_FILTER, 0, filters)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Mount a file system, or change a mount (see the flags in mounts.py)."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    _check(result, "mount", target)


def umount2(target: str, flags: int) -> None:
    """Unmount; MNT_DETACH takes a whole tree away lazily."""
    _check(_libc.umount2(os.fsencode(target), flags), "umount2", target)


def sethostname(name: str) -> None:
    """Set this UTS namespace's host name."""
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def setdomainname(name: str) -> None:
    """Set this UTS namespace's NIS domain name."""
    raw = name.encode()
    _check(_libc.setdomainname(raw, ctypes.c_size_t(len(raw))), "setdomainname")
