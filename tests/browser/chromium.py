"""Chromium that takes no notice of the machine's network: `python chromium.py PROGRAM ARGUMENT…`.

Each address that comes to one of the machine's interfaces or goes from it makes Chromium
abort what it loads (ERR_NETWORK_CHANGED); the engines of the tests beside, the real dockerd
above all, plug and pull cables all the time. Without routing sockets it takes the machine
to be online, and is not told.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydock_lab.daemon.linux import seccomp, syscalls

_AF_NETLINK, _NETLINK_ROUTE, _EAFNOSUPPORT = 16, 0, 97
_NO_ROUTING_SOCKETS: seccomp.Profile = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": _EAFNOSUPPORT,
            "args": [
                {"index": 0, "value": _AF_NETLINK, "op": "SCMP_CMP_EQ"},
                {"index": 2, "value": _NETLINK_ROUTE, "op": "SCMP_CMP_EQ"},
            ],
        }
    ],
}


def write_launcher(path: Path, program: str) -> Path:
    """Write an executable that starts a browser so; return its path."""
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{program}" "$@"\n')
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.seccomp(seccomp.compile_profile(_NO_ROUTING_SOCKETS, ()))
    os.execv(sys.argv[1], sys.argv[1:])
