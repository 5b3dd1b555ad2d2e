"""BusyBox with a link for each of its applets; without one, the host's own tools of those names."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.errors import Unavailable

_PLACES = ("/usr/lib/initramfs-tools/bin/busybox", "/usr/lib/busybox/busybox", "/usr/share/busybox/busybox")

# Applets of some distributions that real images don't have, and that would lie about the image
# (package databases) or act on the machine (an initramfs's own).
_LEFT_OUT = frozenset({"linuxrc", "busybox", "dpkg", "dpkg-deb", "rpm", "nuke", "resume", "run-init", "uevent"})

# What a shell session and the usual Dockerfile use; asked of the host where it has no BusyBox.
_HOST_TOOLS = """
sh cat chmod chown cp date dd df echo env false grep head hostname id ip kill ln ls mkdir mktemp more mount mv nc
ping ps pwd readlink realpath rm rmdir sed seq sleep sort stat stty sync tail tar tee test timeout touch tr true
uname uniq wc wget which whoami xargs awk basename cut diff dirname du expr find gzip gunzip less md5sum mkfifo
nohup od printenv printf sha256sum top umount vi watch xxd yes ifconfig netstat nslookup route free clear cmp comm
egrep fgrep hostid install mknod nproc paste pgrep pkill split tac truncate tty setpriv
"""


def add_busybox(tree: RootTree, host: Host) -> dict[str, str]:
    """Add `/bin/busybox` and its applets; the fact `tools` says what it became.

    Raises:
        Unavailable: the host has neither BusyBox nor a shell.
    """
    program = _find(host)
    if program is None:
        return _add_host_tools(tree, host)
    tree.copy("/bin/busybox", program)
    host.add_libraries(tree, [program])
    for applet in _ask(program, "--list-full").split():
        name = applet.rpartition("/")[2]
        if name not in _LEFT_OUT:
            tree.link(f"/{applet}", "/bin/busybox")
    version = _ask(program).partition(" multi-call")[0]
    return {"tools": f"this machine's {version}"}


def _find(host: Host) -> Path | None:
    """Prefer a static one: it needs no C library in the image."""
    found = [path for path in (host.which("busybox"), *map(Path, _PLACES)) if path is not None and path.is_file()]
    files = [path.resolve() for path in found]
    static = [file for file in files if (elf := host.loader.elf(file)) is not None and not elf.interpreter]
    return next(iter(static + files), None)


def _ask(program: Path, *arguments: str) -> str:
    """Run BusyBox; its usage goes to stdout or stderr, depending on the version."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout or done.stderr


def _add_host_tools(tree: RootTree, host: Host) -> dict[str, str]:
    added = [name for name in _HOST_TOOLS.split() if host.add_program(tree, name)]
    if "sh" not in added:
        raise Unavailable("there is no busybox and no shell on this machine to make an image of")
    if "/usr/bin/env" not in tree and "env" in added:
        tree.link("/usr/bin/env", "/bin/env")
    return {"tools": f"{len(added)} of this machine's own tools (no busybox is installed)"}
