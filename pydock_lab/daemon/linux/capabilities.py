"""Linux capabilities: their names and numbers, Docker's default set, and how `--cap-add`/`--cap-drop` combine.

The calls that set them on a process are in syscalls.py (capset, prctl).
Source: capabilities(7), include/uapi/linux/capability.h.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from pydock_lab.errors import InvalidParameter

# The index is the capability's number.
NAMES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

# What Docker grants unless told otherwise.
DOCKER_DEFAULT: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

NUMBERS: dict[str, int] = {name: number for number, name in enumerate(NAMES)}


def normalize(names: Iterable[str], flag: str) -> list[str]:
    """Return names as the kernel spells them (`net_admin` → `CAP_NET_ADMIN`); `ALL` stays.

    Args:
        names: As the user wrote them.
        flag: `CapAdd` or `CapDrop`, for the message.

    Raises:
        InvalidParameter: `invalid CapAdd: unknown capability: "CAP_FOO"`.
    """
    spelled = []
    for name in names:
        upper = name.upper()
        if upper != "ALL":
            upper = upper if upper.startswith("CAP_") else f"CAP_{upper}"
            if upper not in NUMBERS:
                raise InvalidParameter(f'invalid {flag}: unknown capability: "{upper}"')
        spelled.append(upper)
    return spelled


def combine(add: Iterable[str] = (), drop: Iterable[str] = (), *, privileged: bool = False) -> list[str]:
    """Return the capability set of a container, from Docker's flags.

    Source: moby's rules: `ALL` in add starts from everything and takes `drop` away; `ALL` in
    drop starts from nothing and grants `add`; else the default set, less `drop`, plus `add`.
    """
    added, dropped = normalize(add, "CapAdd"), normalize(drop, "CapDrop")
    if privileged:
        return list(NAMES)
    if "ALL" in added:
        return [name for name in NAMES if name not in dropped]
    if "ALL" in dropped:
        return [name for name in NAMES if name in added]
    kept = [name for name in DOCKER_DEFAULT if name not in dropped]
    return kept + [name for name in NAMES if name in added and name not in kept]


def mask(names: Iterable[str]) -> int:
    """Return a set of capabilities as bits; names the table lacks are left out."""
    return sum(1 << NUMBERS[name] for name in set(names) if name in NUMBERS)


@functools.cache
def last_capability() -> int:
    """Return the highest capability the running kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
        return int(file.read())
