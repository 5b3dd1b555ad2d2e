"""Which kernel settings a container may have: those of namespaces it does not share with the host.

A setting of a shared namespace, or one that has no namespace at all, would be the host's.
Source: runc libcontainer/configs/validate/validator.go (sysctl).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydock_lab.errors import InvalidParameter

_IPC = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def check_sysctls(settings: Mapping[str, str], namespaces: Iterable[Mapping[str, Any]]) -> None:
    """Refuse what would change the host.

    Args:
        settings: OCI `linux.sysctl`.
        namespaces: OCI `linux.namespaces`; one that is not listed is the host's.

    Raises:
        InvalidParameter: in runc's words.
    """
    own = {namespace["type"] for namespace in namespaces}
    for given in settings:
        # `net/ipv4/conf/eth0.1/…` is the other spelling; its first separator decides.
        name = given.replace("/", ".") if "/" in given.partition(".")[0] else given
        if name in _IPC or name.startswith("fs.mqueue."):
            if "ipc" not in own:
                raise InvalidParameter(f'sysctl "{given}" is not allowed in the hosts ipc namespace')
        elif name.startswith("net."):
            if "network" not in own:
                raise InvalidParameter(f'sysctl "{given}" not allowed in host network namespace')
        elif name == "kernel.hostname":
            raise InvalidParameter(f'sysctl "{given}" is not allowed as it conflicts with the OCI "hostname" field')
        elif name != "kernel.domainname" or "uts" not in own:
            raise InvalidParameter(f'sysctl "{given}" is not in a separate kernel namespace')
