"""The ledger of a lesson: what its commands made in the engine, so that exactly this can be taken away again.

A label on each object would show in `inspect` and change images' digests, and a
snapshot of all there was would take what another notebook has made since. So the
client writes down what it asked for, in a file of its own for each lesson and
engine; it outlives the kernel, and works with a real Docker too. Who writes:
witness.py. Who reads: reset.py, checkpoint.py.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydock_lab import paths

Kind = Literal["container", "network", "volume", "image", "tag", "registry"]


@dataclass(frozen=True)
class Entry:
    """One thing that a lesson made.

    Attributes:
        kind: What it is.
        name: Full id of a container, network or (untagged) image; name of a volume or tag;
            address of the engine's own registry, if the lesson started it.
        before: For a tag, the id of the image that had it before; for a volume, when it was created,
            so that a later one of the same name is not taken for it.
    """

    kind: Kind
    name: str
    before: str = ""


class Ledger:
    """The ledger of one lesson on one engine. Nothing is read or written before the first entry.

    Args:
        lesson: Any text that names the lesson; a notebook's path.
        address: Of the engine.
        directory: Where ledgers lie; None for the user's.
    """

    def __init__(self, lesson: str, address: str, directory: Path | None = None) -> None:
        self.lesson = lesson
        self.address = address
        import hashlib  # OpenSSL comes with it; a command outside a lesson needs neither

        digest = hashlib.sha256(f"{lesson}\n{address}".encode()).hexdigest()[:16]
        self.directory = (directory or paths.data_root() / "lessons") / digest
        self.checkpoints = self.directory / "checkpoints"

    def __len__(self) -> int:
        return len(self.entries())

    @property
    def _file(self) -> Path:
        return self.directory / "made.jsonl"

    def entries(self) -> list[Entry]:
        """What was made, oldest first, each once: the first entry of a tag knows what it was before."""
        found: dict[tuple[str, str], Entry] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._file.read_text("utf-8").splitlines()[1:]:
                entry = Entry(**json.loads(line))
                found.setdefault((entry.kind, entry.name), entry)
        return list(found.values())

    def add(self, *entries: Entry) -> None:
        """Write down what was made."""
        if not entries:
            return
        lines = [json.dumps(asdict(entry)) for entry in entries]
        if not self._file.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            head = {"lesson": self.lesson, "engine": self.address, "since": int(time.time())}
            lines.insert(0, json.dumps(head))
        with self._file.open("a", encoding="utf-8") as file:  # a line each: whole, whoever else appends
            file.write("".join(f"{line}\n" for line in lines))

    def keep_only(self, entries: Iterable[Entry]) -> None:
        """Strike everything else; an empty ledger leaves no file, unless there are checkpoints beside it."""
        self._file.unlink(missing_ok=True)
        self.add(*entries)
        for directory in (self.directory, self.directory.parent):
            with contextlib.suppress(OSError):
                directory.rmdir()


def all_ledgers(directory: Path | None = None) -> Iterator[tuple[Ledger, dict[str, Any]]]:
    """Yield each ledger of the user with its head: `lesson`, `engine` and `since` (seconds since 1970)."""
    root = directory or paths.data_root() / "lessons"
    for file in sorted(root.glob("*/made.jsonl")):
        with file.open(encoding="utf-8") as lines:
            head = json.loads(lines.readline())
        yield Ledger(head["lesson"], head["engine"], root), head
