"""Volumes: named directories that outlive containers.

ROOT/NAME/_data is the data (Docker's own layout), the rest is in the database.
Making and removing only; who uses a volume is the engine's business.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.tree import remove_path
from pydock_lab.errors import InvalidParameter, NotFound

_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")


@dataclass(frozen=True)
class Volume:
    """One volume of the `local` driver.

    Attributes:
        name: As the user gave it, or 64 hex digits.
        mountpoint: Absolute directory that holds the data.
        created_ns: Nanoseconds since the epoch.
        labels: The user's own words.
        options: `type`, `o` and `device` as mount(8) takes them, for data that is elsewhere.
    """

    name: str
    mountpoint: Path
    created_ns: int
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


class VolumeStore:
    """All volumes of one data root."""

    def __init__(self, root: Path, database: Database) -> None:
        self._root = root
        self._documents = database.table("volumes")
        self._lock = threading.Lock()
        root.mkdir(parents=True, exist_ok=True, mode=0o701)
        self._volumes = {
            name: Volume(**(document | {"mountpoint": root / name / "_data"}))
            for name, document in self._documents.items()
        }
        for left in root.glob(".removing-*"):
            remove_path(left)

    def create(self, name: str, *, labels: dict[str, str], options: dict[str, str]) -> Volume:
        """Make a volume, or return the one of that name as it is.

        Raises:
            InvalidParameter: the name has other than [a-zA-Z0-9_.-], in Docker's words.
        """
        if len(name) == 1:
            raise InvalidParameter(
                f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )
        if not _NAME.match(name):
            raise InvalidParameter(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
                "use absolute path"
            )
        with self._lock:
            if there := self._volumes.get(name):
                return there
            volume = Volume(name, self._root / name / "_data", time.time_ns(), labels, options)
            volume.mountpoint.mkdir(parents=True, exist_ok=True)
            # The directory's own mode, whatever the daemon's umask is: any user of a container enters it.
            volume.mountpoint.parent.chmod(0o701)
            volume.mountpoint.chmod(0o755)
            self._documents.put(name, asdict(volume) | {"mountpoint": ""})
            self._volumes[name] = volume
            return volume

    def get(self, name: str) -> Volume:
        """Return a volume. Raises NotFound."""
        try:
            return self._volumes[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume") from None

    def __contains__(self, name: str) -> bool:
        return name in self._volumes

    def list(self) -> list[Volume]:
        """Return all volumes, in the order of their names."""
        return [self._volumes[name] for name in sorted(self._volumes)]

    def remove(self, name: str) -> None:
        """Forget a volume and remove its data; blocks. Raises NotFound."""
        volume = self.get(name)
        with self._lock:
            self._documents.delete(name)
            self._volumes.pop(name, None)
        remove_path(volume.mountpoint.parent)
