"""Layers: directories of changes, stacked by chain_id, and their tars.

A layer is stored once, unpacked, in the form overlayfs wants (whiteouts are 0:0
character devices, opaque directories carry an xattr). Its tar is put together
again when asked for: from its recipe where it came as a tar, else as pack.py
writes it. Source: OCI image-spec layer.md and config.md (chain_id).

    ROOT/<16 digits of the chain_id>   the directory of changes: short, since all of a
                                       stack's must fit into one page of mount options
    ROOT/recipes/<the same>            see recipe.py
    ROOT/tmp                           in the making, or being removed

A layer counts once it is in the database, and stays while somebody holds it or a
layer above it; who holds what is in the database too. May be called from any
thread; what reads or writes a whole layer blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydock_lab.daemon.store import changes, recipe
from pydock_lab.daemon.store.archive import Limits
from pydock_lab.daemon.store.changes import Change
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.drafts import ChunkReader, LayerDraft
from pydock_lab.daemon.store.pack import Packer
from pydock_lab.daemon.store.tree import remove_path
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import InvalidParameter, NotFound

__all__ = ["Change", "Layer", "LayerStore", "chain_id"]

# Holders that begin so are forgotten when the daemon starts: work that died with it.
TRANSIENT = "tmp:"
EMPTY_DIFF_ID = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # of a tar without members


@dataclass(frozen=True)
class Layer:
    """One unpacked layer.

    Attributes:
        chain_id: `sha256:…` of the stack up to and including this layer.
        diff_id: `sha256:…` of this layer's uncompressed tar.
        parent: chain_id of the layer below, or None.
        path: Absolute directory holding the changes.
        size: Bytes of its files, as Docker counts a layer's size.
        tar_size: Bytes of its uncompressed tar.
    """

    chain_id: str
    diff_id: str
    parent: str | None
    path: Path
    size: int
    tar_size: int


def chain_id(parent: str | None, diff_id: str) -> str:
    """Return the id of a stack: of `diff_id` on top of the stack `parent`."""
    if parent is None:
        return diff_id
    return f"sha256:{hashlib.sha256(f'{parent} {diff_id}'.encode()).hexdigest()}"


class LayerStore:
    """All layers of one data root.

    Args:
        root: Absolute, as short as can be, on the file system where containers have their upperdirs.
        rootless: The engine is root in a user namespace only (`userxattr` overlays).
        limits: What one layer's tar may unpack to.
    """

    def __init__(
        self, root: Path, database: Database, trace: Trace, *, rootless: bool = False, limits: Limits | None = None
    ) -> None:
        self.root = root
        self._database = database
        self._documents = database.table("layers")
        self._holds = database.table("holds")
        self._trace = trace
        self._rootless = rootless
        self._limits = limits or Limits()
        self._recipes = root / "recipes"
        self._temporary = root / "tmp"
        self._lock = database.lock
        self._records: dict[str, dict[str, Any]] = dict(self._documents.items())
        self._held: dict[str, set[str]] = {holder: set(stacks) for holder, stacks in self._holds.items()}
        for directory in (self._recipes, self._temporary):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._recover()

    def get(self, chain_id: str) -> Layer:
        """Return a layer. Raises NotFound."""
        record = self._record(chain_id)
        path = self._path(chain_id)
        return Layer(chain_id, record["diff_id"], record["parent"], path, record["size"], record["tar_size"])

    def __contains__(self, chain_id: str) -> bool:
        return chain_id in self._records

    def has_diff(self, diff_id: str) -> bool:
        """Whether any stack has this layer."""
        with self._lock:
            return any(record["diff_id"] == diff_id for record in self._records.values())

    def apply(
        self, tar: IO[bytes], parent: str | None, *, diff_id: str | None = None, holder: str | None = None
    ) -> Layer:
        """Unpack an uncompressed layer tar on top of `parent`; verify `diff_id` where it is given.

        Args:
            tar: Read to its end, unless `parent` and `diff_id` name a layer that is there already.
            parent: chain_id of the stack below, or None.
            diff_id: What the tar's digest has to be.
            holder: Holds the new stack from its first moment.

        Raises:
            InvalidParameter: the tar is malformed, or its digest another.
        """
        if diff_id is not None and (there := self.find(parent, diff_id, holder=holder)):
            return there
        with self.prepare(tar) as draft:
            return self.admit(draft, parent, diff_id=diff_id, holder=holder)

    def find(self, parent: str | None, diff_id: str, *, holder: str | None = None) -> Layer | None:
        """Return a layer on top of `parent` if it is there, and hold it."""
        return self._hold_if_there(chain_id(parent, diff_id), holder)

    def prepare(self, tar: IO[bytes]) -> LayerDraft:
        """Unpack an uncompressed layer tar without knowing what lies below it; admit or drop the draft.

        Raises:
            InvalidParameter: the tar is malformed.
        """
        started = time.monotonic_ns()
        draft = LayerDraft(self._temporary)
        try:
            draft.fill(tar, rootless=self._rootless, limits=self._limits)
        except BaseException:
            draft.drop()
            raise
        self._trace.emit(
            "store",
            "tar.unpacked",
            draft.diff_id,
            size=draft.size,
            entries=draft.entries,
            duration_ns=time.monotonic_ns() - started,
        )
        return draft

    def admit(
        self, draft: LayerDraft, parent: str | None, *, diff_id: str | None = None, holder: str | None = None
    ) -> Layer:
        """Make a draft the layer on top of `parent`; if that is there already, leave the draft behind.

        Args:
            draft: From `prepare`.
            parent: chain_id of the stack below, or None.
            diff_id: What the tar's digest has to be.
            holder: Holds the new stack from its first moment.

        Raises:
            InvalidParameter: the digest is another.
            NotFound: there is no such parent.
        """
        if diff_id is not None and draft.diff_id != diff_id:
            raise InvalidParameter(f"layers from manifest don't match image configuration: diff_id {diff_id}")
        draft.settle(self.lower_paths(parent))
        document = _document(draft.diff_id, parent, draft.size, draft.tar_size)
        document |= {"recipe": True, "displaced": draft.recipe.displaced}
        layer = self._admit(draft.directory, document, holder, recipe=draft.recipe.path)
        self._emit("layer.unpacked", layer, entries=draft.entries)
        return layer

    def hold_diff(self, diff_id: str, holder: str) -> str | None:
        """Hold some stack whose topmost layer this is; return its chain_id, or None."""
        with self._lock:
            for stack, record in self._records.items():
                if record["diff_id"] == diff_id:
                    self.hold(stack, holder)
                    return stack
        return None

    def copy(self, diff_id: str, parent: str | None, *, holder: str) -> Layer:
        """Make a layer that is in the store somewhere one on top of `parent`. Raises NotFound."""
        source = self.hold_diff(diff_id, holder)
        if source is None:
            raise NotFound(f"layer {diff_id} does not exist")
        tar = io.BufferedReader(ChunkReader(self.tar(source)), 1 << 20)
        return self.apply(tar, parent, diff_id=diff_id, holder=holder)

    def adopt(self, upper: Path, parent: str | None, *, holder: str | None = None) -> Layer:
        """Make a layer of a container's upperdir by moving it (no copy); the caller's upper is gone.

        Args:
            upper: On the store's file system; nothing has it mounted any more. Its own mode and owner
                become those of the rootfs' `/`.
            parent: chain_id of the stack below, or None.
            holder: Holds the new stack from its first moment.
        """
        started = time.monotonic_ns()
        packer = Packer(upper, rootless=self._rootless)
        sha256, tar_size = hashlib.sha256(), 0
        for chunk in packer.chunks():
            sha256.update(chunk)
            tar_size += len(chunk)
        document = _document(f"sha256:{sha256.hexdigest()}", parent, packer.size, tar_size)
        layer = self._admit(upper, document, holder)
        self._discard(upper)
        self._emit("layer.adopted", layer, duration_ns=time.monotonic_ns() - started)
        return layer

    def snapshot(self, upper: Path, parent: str | None, *, holder: str | None = None) -> Layer:
        """Make a layer of an upperdir that stays in use (commit): a copy."""
        chunks = Packer(upper, rootless=self._rootless).chunks()
        return self.apply(io.BufferedReader(ChunkReader(chunks), 1 << 20), parent, holder=holder)

    def tar(self, chain_id: str) -> Iterator[bytes]:
        """Yield the layer's uncompressed tar; its sha256 is diff_id."""
        record = self._record(chain_id)
        if record.get("recipe"):
            displaced = [(path, before, kept) for path, before, kept in record["displaced"]]
            return recipe.replay(self._recipes / self._path(chain_id).name, self._path(chain_id), displaced)
        return Packer(self._path(chain_id), rootless=self._rootless).chunks()

    def stack(self, chain_id: str | None) -> list[Layer]:
        """Return the layers of a stack, topmost first."""
        layers: list[Layer] = []
        while chain_id is not None:
            layers.append(self.get(chain_id))
            chain_id = layers[-1].parent
        return layers

    def lower_paths(self, chain_id: str | None) -> list[Path]:
        """Return the diff directories of a stack, topmost first: overlay's lowerdir."""
        return [layer.path for layer in self.stack(chain_id)]

    def changes(self, chain_id: str) -> list[Change]:
        """Return what one layer does to the stack below it."""
        layer = self.get(chain_id)
        return changes.compare(layer.path, self.lower_paths(layer.parent), rootless=self._rootless)

    def diff(self, upper: Path, parent: str | None) -> list[Change]:
        """Return what an upperdir does to its image (`docker diff`)."""
        return changes.compare(upper, self.lower_paths(parent), rootless=self._rootless)

    def hold(self, chain_id: str, holder: str) -> None:
        """Keep a stack from being collected for the sake of an image, container or cache entry.

        Raises:
            NotFound: it has been collected already.
        """
        with self._lock:
            self._record(chain_id)
            stacks = self._held.setdefault(holder, set())
            if chain_id not in stacks:
                stacks.add(chain_id)
                self._holds.put(holder, sorted(stacks))

    def release(self, holder: str) -> int:
        """Give up all that `holder` held; remove layers nobody holds; return bytes freed."""
        return sum(layer.size for layer in self.collect(holder))

    def collect(self, holder: str) -> list[Layer]:
        """Do what `release` does, and return the layers that went, topmost first."""
        with self._lock, self._database.transaction():
            stacks = self._held.pop(holder, set())
            self._holds.delete(holder)
            layers, directories = self._collect(stacks)
        self._discard(*directories)
        for layer in layers:
            self._emit("layer.removed", layer)
        return layers

    def holders(self, chain_id: str) -> set[str]:
        """Return who holds a stack, or one on top of it."""
        with self._lock:
            above = {chain_id}
            for other in self._records:
                if any(layer in above for layer in self._chain(other)):
                    above.add(other)
            return {holder for holder, stacks in self._held.items() if stacks & above}

    def total_size(self) -> int:
        """Return the bytes of all layers (`docker system df`)."""
        with self._lock:
            return sum(record["size"] for record in self._records.values())

    def _record(self, chain_id: str) -> dict[str, Any]:
        try:
            return self._records[chain_id]
        except KeyError:
            raise NotFound(f"layer {chain_id} does not exist") from None

    def _path(self, chain_id: str) -> Path:
        return self.root / chain_id.removeprefix("sha256:")[:16]

    def _chain(self, chain_id: str | None) -> Iterator[str]:
        while chain_id is not None:
            yield chain_id
            chain_id = self._records[chain_id]["parent"]

    def _hold_if_there(self, chain_id: str, holder: str | None) -> Layer | None:
        with self._lock:
            if chain_id not in self._records:
                return None
            if holder is not None:
                self.hold(chain_id, holder)
            return self.get(chain_id)

    def _admit(
        self, directory: Path, document: dict[str, Any], holder: str | None, recipe: Path | None = None
    ) -> Layer:
        """Make a finished directory a layer; if the same one is there already, leave the directory behind."""
        stack = chain_id(document["parent"], document["diff_id"])
        with self._lock:
            if there := self._hold_if_there(stack, holder):
                return there
            if document["parent"] is not None:
                self._record(document["parent"])
            path = self._path(stack)
            if path.exists():
                raise FileExistsError(f"{path} belongs to another layer")
            if recipe is not None:
                recipe.rename(self._recipes / path.name)
                with contextlib.suppress(FileNotFoundError):
                    recipe.with_name(f"{recipe.name}.d").rename(self._recipes / f"{path.name}.d")
            directory.rename(path)
            with self._database.transaction():
                self._documents.put(stack, document)
                self._records[stack] = document
                if holder is not None:
                    self.hold(stack, holder)
            return self.get(stack)

    def _collect(self, stacks: set[str]) -> tuple[list[Layer], list[Path]]:
        """Forget the layers of these stacks that nobody needs; return them and the directories to remove."""
        held = set().union(*self._held.values())
        parents = {record["parent"] for record in self._records.values()}
        layers: list[Layer] = []
        directories: list[Path] = []
        for stack in stacks:
            current: str | None = stack
            while current in self._records and current not in held and current not in parents:
                layers.append(self.get(current))
                record = self._records.pop(current)
                self._documents.delete(current)
                path = self._path(current)
                for part in (path, self._recipes / path.name, self._recipes / f"{path.name}.d"):
                    aside = self._temporary / secrets.token_hex(8)
                    with contextlib.suppress(FileNotFoundError):
                        part.rename(aside)
                        directories.append(aside)
                current = record["parent"]
                parents = {other["parent"] for other in self._records.values()}
        return layers, directories

    def _recover(self) -> None:
        """Clean up after a process that was killed: what was in the making, and what nobody holds."""
        for holder in [holder for holder in self._held if holder.startswith(TRANSIENT)]:
            del self._held[holder]
            self._holds.delete(holder)
        with self._database.transaction():
            self._collect(set(self._records))
        known = {self._path(stack).name for stack in self._records}
        for place in (self.root, self._recipes):
            for path in place.iterdir():
                if path not in (self._recipes, self._temporary) and path.name.removesuffix(".d") not in known:
                    path.rename(self._temporary / secrets.token_hex(8))
        left = list(self._temporary.iterdir())
        if left:  # half a gigabyte of small files takes seconds, and the daemon is to answer at once
            threading.Thread(target=self._discard, args=left, daemon=True).start()

    def _discard(self, *paths: Path) -> None:
        for path in paths:
            remove_path(path)

    def _emit(self, kind: str, layer: Layer, **data: Any) -> None:
        self._trace.emit(
            "store", kind, layer.chain_id, diff_id=layer.diff_id, size=layer.size, path=str(layer.path), **data
        )


def _document(diff_id: str, parent: str | None, size: int, tar_size: int) -> dict[str, Any]:
    return {"diff_id": diff_id, "parent": parent, "size": size, "tar_size": tar_size}
