"""What `pydock-runtime` knows of a container between two calls: one directory with `state.json` below `--root`.

Source: OCI runtime-spec runtime.md, "State"; runc's `state` and `list`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.linux import cgroups, controlfiles
from pydock_lab.errors import Conflict, InvalidParameter, NotFound

OCI_VERSION = "1.0.2"


@dataclass
class State:
    """A container as it was created.

    Attributes:
        id: Its name below the root directory.
        bundle: Absolute directory of its config.json.
        rootfs: Absolute on the host.
        pid: Of its init process, in this pid namespace.
        start_time: Of that process, in clock ticks since boot: tells it from a later one of the same number.
        created: RFC 3339.
        cgroup: From the root of the hierarchies, or "".
        config: Its config.json.
    """

    id: str
    bundle: str
    rootfs: str
    pid: int
    start_time: int
    created: str
    cgroup: str
    config: dict[str, Any] = field(default_factory=dict)

    def status(self, directory: str) -> str:
        """Return `created`, `running`, `paused` or `stopped`."""
        if not self.pid or process_start(self.pid) != self.start_time:
            return "stopped"
        if self._frozen():
            return "paused"
        return "created" if os.path.exists(os.path.join(directory, "exec.fifo")) else "running"

    def _frozen(self) -> bool:
        layout = cgroups.detect()
        if not self.cgroup or not layout.version:
            return False
        paths = layout.cgroup(self.cgroup).paths()
        v1 = controlfiles.read(f"{paths.get('freezer', '')}/freezer.state").strip()
        return v1 in ("FROZEN", "FREEZING") or controlfiles.read(f"{paths.get('', '')}/cgroup.freeze").strip() == "1"

    def document(self, status: str) -> dict[str, Any]:
        """Return the state as the specification has it: for hooks and for `state`."""
        document: dict[str, Any] = {"ociVersion": OCI_VERSION, "id": self.id, "status": status, "bundle": self.bundle}
        if status != "stopped":
            document["pid"] = self.pid
        if self.config.get("annotations"):
            document["annotations"] = self.config["annotations"]
        return document


def process_start(pid: int) -> int:
    """Return when a process started, in ticks since boot; -1 where there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in ("Z", "X") else int(fields[19])


class Store:
    """The containers below one root directory."""

    def __init__(self, root: str) -> None:
        self.root = root

    def directory(self, id: str) -> str:
        """Return a container's directory. Raises InvalidParameter for a bad name."""
        if not id or id in (".", "..") or not all(letter.isalnum() or letter in "_+-." for letter in id):
            raise InvalidParameter("invalid container ID format")
        return os.path.join(self.root, id)

    def reserve(self, id: str) -> str:
        """Make a new container's directory. Raises Conflict where there is one."""
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        directory = self.directory(id)
        try:
            os.mkdir(directory, 0o711)
        except FileExistsError:
            raise Conflict("container with given ID already exists") from None
        return directory

    def save(self, state: State) -> None:
        """Write a container's state."""
        path = os.path.join(self.directory(state.id), "state.json")
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            file.write(json.dumps(vars(state)))
        os.replace(f"{path}.tmp", path)

    def load(self, id: str) -> State:
        """Return a container's state. Raises NotFound."""
        try:
            with open(os.path.join(self.directory(id), "state.json"), encoding="utf-8") as file:
                return State(**json.load(file))
        except FileNotFoundError:
            raise NotFound("container does not exist") from None

    def status(self, state: State) -> str:
        """Return a container's status now."""
        return state.status(self.directory(state.id))

    def owner(self, state: State) -> str:
        """Return the name of who created a container; its number where it has no name."""
        uid = os.stat(self.directory(state.id)).st_uid
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"#{uid}"

    def all(self) -> list[State]:
        """Return every container."""
        found = []
        for id in sorted(os.listdir(self.root)) if os.path.isdir(self.root) else ():
            with contextlib.suppress(NotFound, InvalidParameter):
                found.append(self.load(id))
        return found

    def forget(self, id: str) -> None:
        """Remove a container's directory."""
        shutil.rmtree(self.directory(id), ignore_errors=True)
