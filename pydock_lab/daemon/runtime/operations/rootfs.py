"""The root of a container: overlay, mounts, pivot_root, masked and read-only paths.

The order, which build_plan() keeps:

1. the mounts of a new mount namespace are made slaves, so that nothing done here reaches the host;
2. the overlay (or the given directory) is mounted at the bundle's `rootfs`;
3. bind sources are cloned into detached trees while the host's paths can be seen;
4. pivot_root: from here on every path means one inside the container, and the
   kernel resolves an image's symbolic links there;
5. file systems are mounted, trees put into place, devices made;
6. paths are made read-only or masked, and the host's root is let go.

Source: pivot_root(2), overlayfs.rst, OCI runtime-spec config-linux.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.linux import idmaps, mounts, syscalls
from pydock_lab.daemon.runtime.operations.base import CannotStart, Context, Findings, Operation, Skip
from pydock_lab.daemon.runtime.operations.copyup import copy_below
from pydock_lab.errors import KernelError

_OTHER_ROOT = re.compile(r"/proc/(\d+)/root(/.+)")
OVERLAY_OPTION_BYTES = 4000  # mount(2) takes one page of options


@dataclass
class IsolateMounts(Operation):
    """Make a mount namespace of our own."""

    where = "host"

    def describe(self) -> str:
        """Say so."""
        return "Unshare the mount namespace: a copy of the host's mounts to work on"

    def execute(self, context: Context) -> Findings:
        """unshare(2)."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        if context.outside:
            context.outside.follow(context)
        return {"inodes": {"mount": os.stat("/proc/thread-self/ns/mnt").st_ino}}


@dataclass
class EnslaveMounts(Operation):
    """Cut a mount namespace off from the host's."""

    where = "host"

    def describe(self) -> str:
        """Say so."""
        return "Make its mounts rslave: none made here shows on the host"

    def execute(self, context: Context) -> Findings:
        """The propagation of the whole tree; pivot_root(2) refuses one in which mounts are shared."""
        mounts.set_propagation("/", mounts.PROPAGATIONS["rslave"])
        return None


@dataclass
class MountOverlay(Operation):
    """Stack an image's layers and the container's writable layer into one tree."""

    lower: list[str]
    upper: str
    work: str
    target: str
    userxattr: bool = False
    volatile: bool = False
    where = "host"

    def describe(self) -> str:
        """Count the layers."""
        writable = "volatile writable layer" if self.volatile else "writable layer"
        return f"Mount an overlay of {len(self.lower)} read-only layers and the {writable} {self.upper}"

    def execute(self, context: Context) -> Findings:
        """mount(2), with short names in place of layer paths where they would not fit."""
        os.makedirs(self.target, exist_ok=True)
        # The kernel leaves this mark, so that nobody goes on with what a crash has spoilt. Here none has.
        mark = os.path.join(self.work, "work/incompat/volatile")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{mark}/dirty")
            os.rmdir(mark)
        options = self._options(self.lower)
        short = len(options) > OVERLAY_OPTION_BYTES
        if short:
            names = os.path.join(os.path.dirname(self.target), "l")
            os.makedirs(names, exist_ok=True)
            for number, layer in enumerate(self.lower):
                link = os.path.join(names, str(number))
                if os.path.lexists(link):
                    os.unlink(link)
                os.symlink(layer, link)
            os.chdir(names)
            options = self._options([str(number) for number in range(len(self.lower))])
        wanted = f"{options},volatile" if self.volatile else options
        try:
            syscalls.mount("overlay", self.target, "overlay", 0, wanted)
        except KernelError as error:
            if not self.volatile or error.errno != errno.EINVAL:
                raise
            syscalls.mount("overlay", self.target, "overlay", 0, options)  # before Linux 5.10
            return {"options": options}
        return {"options": wanted}

    def _options(self, lower: list[str]) -> str:
        layers = ":".join(map(mounts.escape, lower))
        options = f"lowerdir={layers},upperdir={mounts.escape(self.upper)},workdir={mounts.escape(self.work)}"
        return options + (",userxattr" if self.userxattr else "")


@dataclass
class BindRootfs(Operation):
    """Use a directory as the root: pivot_root wants a mount point."""

    source: str
    target: str
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Bind-mount the directory {self.source} as the root"

    def execute(self, context: Context) -> Findings:
        """Bind it, with what is mounted below."""
        if self.source != self.target:
            os.makedirs(self.target, exist_ok=True)
        syscalls.mount(self.source, self.target, None, mounts.MS_BIND | mounts.MS_REC)
        mounts.set_propagation(self.target, mounts.MS_PRIVATE | mounts.MS_REC)
        return None


@dataclass
class CloneMount(Operation):
    """First half of a bind mount: clone the source into a detached tree.

    Attributes:
        idmap: `uids` and `gids` through which its owners are shown, and whether `recursive`; or nothing.
    """

    source: str
    destination: str
    recursive: bool = True
    optional: bool = False
    idmap: dict[str, Any] = field(default_factory=dict)
    where = "host"

    def describe(self) -> str:
        """Say what for."""
        return f"Take hold of {self.source} for the container's {self.destination}"

    def execute(self, context: Context) -> Findings:
        """open_tree(2)."""
        try:
            context.trees[self.destination] = self._open()
        except KernelError as error:
            if self.optional:
                raise Skip(error.message) from None
            if error.errno == errno.ENOENT:
                raise CannotStart(
                    f'error mounting "{self.source}" to rootfs at "{self.destination}": '
                    f"mount {self.source}:{self.destination}: no such file or directory"
                ) from None
            raise
        if self.idmap:
            self._map(context.trees[self.destination])
        return None

    def _map(self, tree: int) -> None:
        namespace = idmaps.namespace(self.idmap["uids"], self.idmap["gids"])
        try:
            mounts.map_tree(tree, namespace, recursive=self.idmap["recursive"])
        finally:
            os.close(namespace)

    def _open(self) -> int:
        """A mount of another container (`--ipc container:`) can only be cloned from inside its mount namespace."""
        inside = _OTHER_ROOT.fullmatch(self.source)
        if inside is None:
            return mounts.open_tree(self.source, recursive=self.recursive)
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            other = os.open(f"/proc/{inside[1]}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.setns(other, syscalls.CLONE_NEWNS)
            finally:
                os.close(other)
            try:
                return mounts.open_tree(inside[2], recursive=self.recursive)
            finally:
                syscalls.setns(own, syscalls.CLONE_NEWNS)
        finally:
            os.close(own)


@dataclass
class PivotRoot(Operation):
    """Make the rootfs the root of this mount namespace."""

    rootfs: str
    where = "host"

    def describe(self) -> str:
        """Say so."""
        return f"Change the root to {self.rootfs}; from here on paths are the container's"

    def execute(self, context: Context) -> Findings:
        """pivot_root(".", "."): the old root stays below for a while, because a new /proc needs to see one."""
        context.old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.chdir(self.rootfs)
        syscalls.pivot_root(".", ".")
        os.chdir("/")
        return None


@dataclass
class DetachOldRoot(Operation):
    """Let go of the host's file systems."""

    def describe(self) -> str:
        """Say so."""
        return "Unmount the host's root; nothing of the host can be reached any more"

    def execute(self, context: Context) -> Findings:
        """umount2(2) of the tree that pivot_root left; slave first, or the host would lose its mounts."""
        os.fchdir(context.old_root)
        mounts.set_propagation(".", mounts.MS_SLAVE | mounts.MS_REC)
        syscalls.umount2(".", mounts.MNT_DETACH)
        os.chdir("/")
        os.close(context.old_root)
        context.old_root = -1
        return None


@dataclass
class MountFilesystem(Operation):
    """Mount a file system of its own: proc, sysfs, tmpfs, devpts, mqueue, cgroup2."""

    kind: str
    source: str
    destination: str
    options: list[str] = field(default_factory=list)
    rootless: bool = False

    def describe(self) -> str:
        """Say what goes where."""
        return f"Mount {self.kind} on {self.destination} ({','.join(self.options)})"

    def execute(self, context: Context) -> Findings:
        """mount(2); a tmpfs over a directory of the image keeps that directory's mode."""
        parsed = mounts.Options(self.options)
        target = inside(self.destination)
        mode = make_mount_point(target, directory=True)
        data = parsed.data
        before = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if parsed.copies_up else -1
        if self.kind == "tmpfs" and "mode=" not in data:
            data = ",".join(filter(None, (data, f"mode={mode:o}")))
        if self.kind == "devpts" and self.rootless:
            # A user namespace that maps one group only has no group 5.
            data = ",".join(option for option in data.split(",") if not option.startswith("gid="))
        read_only = parsed.flags & mounts.MS_RDONLY
        try:
            syscalls.mount(self.source, target, self.kind, parsed.flags & ~mounts.MS_RDONLY, data)
        except KernelError as error:
            details = [f"flags: {parsed.flags:#x}"] * bool(parsed.flags) + [f"data: {data}"] * bool(data)
            tried = ", ".join((f"{self.source}:{self.destination}", *details))
            raise CannotStart(
                f'error mounting "{self.source}" to rootfs at "{self.destination}": '
                f"mount {tried}: {os.strerror(error.errno).lower()}"
            ) from None
        if before >= 0:
            after = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            copy_below(before, after)
            os.close(after)
            os.close(before)
        if read_only:
            # Of the mount, not of the superblock: sysfs and tmpfs may be shared with others.
            mounts.set_attributes(target, mounts.MS_RDONLY)
        if parsed.propagation:
            mounts.set_propagation(target, parsed.propagation)
        return None


@dataclass
class PlaceMount(Operation):
    """Second half of a bind mount: put the detached tree into its place."""

    destination: str
    options: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Say where."""
        return f"Put it at {self.destination} ({','.join(self.options)})"

    def execute(self, context: Context) -> Findings:
        """mount_setattr(2) while it is detached, then move_mount(2)."""
        if self.destination not in context.trees:
            raise Skip("its source could not be opened")
        tree = context.trees.pop(self.destination)
        mounts.set_tree(tree, mounts.Options(self.options))
        place_tree(tree, self.destination)
        return None


def inside(path: str) -> str:
    """Return a path of the container with its symbolic links resolved, for use before the old root is detached.

    Until then the host's root lies on top of ours: an image's link to `/../etc` would lead the kernel
    there, because it takes the `..` of `/` to what is mounted on it.
    """
    if "/.." in path:
        return os.path.realpath(path)
    # Most paths have no links: the kernel sees that four times as fast as Python, in a fresh child.
    try:
        os.close(syscalls.openat2(path, os.O_PATH | os.O_CLOEXEC, syscalls.RESOLVE_NO_SYMLINKS))
    except KernelError as error:
        # Up to the name that is missing there was no link.
        return path if error.errno == errno.ENOENT else os.path.realpath(path)
    return path


def place_tree(tree: int, destination: str) -> None:
    """Move a detached tree to a path of the container, making the mount point where there is none."""
    target = inside(destination)
    make_mount_point(target, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
    mounts.move_mount(tree, target)
    os.close(tree)


def make_mount_point(path: str, *, directory: bool) -> int:
    """Make an empty directory or file to mount over where there is none; return the mode of what is there.

    Args:
        path: As inside() returns it.
        directory: Or a file.
    """
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        pass
    if directory:
        os.makedirs(path, mode=0o755, exist_ok=True)
        return 0o1777
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    return 0o644


@dataclass
class LinkControllers(Operation):
    """Name the controllers that share one v1 hierarchy (`cpu` → `cpu,cpuacct`)."""

    directory: str
    links: dict[str, str]

    def describe(self) -> str:
        """List them."""
        return "Link " + ", ".join(f"{name} to {target}" for name, target in self.links.items())

    def execute(self, context: Context) -> Findings:
        """symlink(2)."""
        directory = inside(self.directory)
        for name, target in self.links.items():
            os.symlink(target, f"{directory}/{name}")
        return None


@dataclass
class SetAttributes(Operation):
    """Change the flags of a mount that is in place."""

    path: str
    options: list[str]

    def describe(self) -> str:
        """Say which."""
        return f"Make the mount at {self.path} {','.join(self.options)}"

    def execute(self, context: Context) -> Findings:
        """mount_setattr(2)."""
        parsed = mounts.Options(self.options)
        mounts.set_attributes(self.path, parsed.flags, parsed.cleared)
        return None
