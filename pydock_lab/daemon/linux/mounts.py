"""Mounts: flags and options, and detached mount trees (open_tree(2), move_mount(2), mount_setattr(2)).

A bind mount is made in two halves: `open_tree` clones the source while the
host's paths can still be seen, `move_mount` puts the clone into place after the
root has been changed. The destination is then resolved by the kernel inside the
container's root, so that no symbolic link of an image leads out of it.

Source: mount(2), the OCI runtime-spec's table of mount options.
"""

from __future__ import annotations

import ctypes
import os

from pydock_lab.daemon.linux import syscalls

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MNT_DETACH = 2

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_SYMLINKS = 0x10

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x00200000
MOUNT_ATTR_IDMAP = 0x00100000

# Option → (flag, whether it sets the flag or clears it).
FLAGS: dict[str, tuple[int, bool]] = {
    "ro": (MS_RDONLY, True),
    "rw": (MS_RDONLY, False),
    "nosuid": (MS_NOSUID, True),
    "suid": (MS_NOSUID, False),
    "nodev": (MS_NODEV, True),
    "dev": (MS_NODEV, False),
    "noexec": (MS_NOEXEC, True),
    "exec": (MS_NOEXEC, False),
    "sync": (MS_SYNCHRONOUS, True),
    "async": (MS_SYNCHRONOUS, False),
    "dirsync": (MS_DIRSYNC, True),
    "noatime": (MS_NOATIME, True),
    "atime": (MS_NOATIME, False),
    "nodiratime": (MS_NODIRATIME, True),
    "diratime": (MS_NODIRATIME, False),
    "relatime": (MS_RELATIME, True),
    "norelatime": (MS_RELATIME, False),
    "strictatime": (MS_STRICTATIME, True),
    "nostrictatime": (MS_STRICTATIME, False),
    "nosymfollow": (MS_NOSYMFOLLOW, True),
    "symfollow": (MS_NOSYMFOLLOW, False),
    "mand": (MS_MANDLOCK, True),
    "nomand": (MS_MANDLOCK, False),
    "silent": (MS_SILENT, True),
    "loud": (MS_SILENT, False),
    "iversion": (MS_I_VERSION, True),
    "noiversion": (MS_I_VERSION, False),
    "lazytime": (MS_LAZYTIME, True),
    "nolazytime": (MS_LAZYTIME, False),
    "bind": (MS_BIND, True),
    "rbind": (MS_BIND | MS_REC, True),
    "defaults": (0, True),
}
PROPAGATIONS: dict[str, int] = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}
# Applied to a whole tree: OCI's `rro` is what Docker's `readonly-recursive` becomes.
RECURSIVE: dict[str, int] = {
    "rro": MOUNT_ATTR_RDONLY,
    "rnosuid": MOUNT_ATTR_NOSUID,
    "rnodev": MOUNT_ATTR_NODEV,
    "rnoexec": MOUNT_ATTR_NOEXEC,
}
COPY_UP = "tmpcopyup"
# Owners are shown through an id map, the mount's own or the container's: of the mount, or of its tree.
IDMAPS: dict[str, bool] = {"idmap": False, "ridmap": True}
# Flags that are an attribute of the mount, not of the file system.
_ATTRIBUTES = {
    MS_RDONLY: MOUNT_ATTR_RDONLY,
    MS_NOSUID: MOUNT_ATTR_NOSUID,
    MS_NODEV: MOUNT_ATTR_NODEV,
    MS_NOEXEC: MOUNT_ATTR_NOEXEC,
    MS_NODIRATIME: MOUNT_ATTR_NODIRATIME,
    MS_NOSYMFOLLOW: MOUNT_ATTR_NOSYMFOLLOW,
}


class mount_attr(ctypes.Structure):
    """`struct mount_attr` of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


class Options:
    """Mount options in the kernel's terms.

    Attributes:
        flags: MS_* to set.
        cleared: MS_* that were asked to be off (`rw`, `exec`, …).
        propagation: MS_PRIVATE, … | MS_REC, or 0.
        recursive: MOUNT_ATTR_* for the whole tree.
        copies_up: A tmpfs begins with what was in its directory.
        data: What the file system itself understands, joined with commas.
    """

    def __init__(self, options: list[str]) -> None:
        self.flags = self.cleared = self.propagation = self.recursive = 0
        self.copies_up = COPY_UP in options
        data = []
        for option in options:
            if option in FLAGS:
                flag, sets = FLAGS[option]
                self.flags = self.flags | flag if sets else self.flags & ~flag
                self.cleared = self.cleared & ~flag if sets else self.cleared | flag
            elif option in PROPAGATIONS:
                self.propagation = PROPAGATIONS[option]
            elif option in RECURSIVE:
                self.recursive |= RECURSIVE[option]
            elif option != COPY_UP:
                data.append(option)
        self.data = ",".join(data)


def open_tree(path: str, *, recursive: bool) -> int:
    """Clone the mounts at `path` into a detached tree; return its fd."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return syscalls.syscall(syscalls.NR_OPEN_TREE, "open_tree", -100, os.fsencode(path), flags, path=path)


def seal_tree(tree_fd: int) -> None:
    """Make a detached tree read-only."""
    _tree_setattr(tree_fd, AT_RECURSIVE, mount_attr(attr_set=MOUNT_ATTR_RDONLY))


def set_tree(tree_fd: int, options: Options) -> None:
    """Give a detached tree its flags (its topmost mount), recursive flags and propagation; private by default."""
    wanted, unwanted = _attributes(options.flags), _attributes(options.cleared)
    propagation = options.propagation or MS_PRIVATE | MS_REC
    flags = AT_RECURSIVE if propagation & MS_REC else 0
    if wanted or unwanted:
        _tree_setattr(tree_fd, 0, mount_attr(attr_set=wanted, attr_clr=unwanted))
    _tree_setattr(tree_fd, flags, mount_attr(propagation=propagation & ~MS_REC))
    if options.recursive:
        _tree_setattr(tree_fd, AT_RECURSIVE, mount_attr(attr_set=options.recursive))


def map_tree(tree_fd: int, namespace_fd: int, *, recursive: bool) -> None:
    """Show the owners of files below a detached tree through the maps of a user namespace."""
    attributes = mount_attr(attr_set=MOUNT_ATTR_IDMAP, userns_fd=namespace_fd)
    _tree_setattr(tree_fd, AT_RECURSIVE if recursive else 0, attributes)


def _tree_setattr(tree_fd: int, flags: int, attributes: mount_attr) -> None:
    size = ctypes.sizeof(attributes)
    syscalls.syscall(syscalls.NR_MOUNT_SETATTR, "mount_setattr", tree_fd, b"", AT_EMPTY_PATH | flags, attributes, size)


def move_mount(tree_fd: int, target: str) -> None:
    """Put a detached tree into place; `target` may end in a symbolic link."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS
    raw = os.fsencode(target)
    syscalls.syscall(syscalls.NR_MOVE_MOUNT, "move_mount", tree_fd, b"", -100, raw, flags, path=target)


def _attributes(flags: int) -> int:
    """Return MS_* flags as MOUNT_ATTR_*."""
    return sum(attribute for flag, attribute in _ATTRIBUTES.items() if flags & flag)


def set_attributes(target: str, flags: int, cleared: int = 0, *, recursive: int = 0) -> None:
    """Set per-mount attributes of the mount at `target` (MS_* flags), and MOUNT_ATTR_* of its tree."""
    wanted, unwanted = _attributes(flags), _attributes(cleared)
    if wanted or unwanted:
        _mount_setattr(target, 0, mount_attr(attr_set=wanted, attr_clr=unwanted))
    if recursive:
        _mount_setattr(target, AT_RECURSIVE, mount_attr(attr_set=recursive))


def set_propagation(target: str, propagation: int) -> None:
    """Make the mount at `target` private, slave or shared (with MS_REC its tree too)."""
    syscalls.mount("none", target, None, propagation)


def _mount_setattr(target: str, flags: int, attributes: mount_attr) -> None:
    syscalls.syscall(
        syscalls.NR_MOUNT_SETATTR,
        "mount_setattr",
        -100,
        os.fsencode(target),
        flags,
        attributes,
        ctypes.sizeof(attributes),
        path=target,
    )


def escape(path: str) -> str:
    """Escape a path for an overlay option, where `:` and `,` separate."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
