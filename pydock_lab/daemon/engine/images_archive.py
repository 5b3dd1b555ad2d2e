"""The members of an image archive, read in one pass: documents kept, layers unpacked as they come by.

What is a layer shows in its first bytes (a tar's header, gzip's or zstd's mark), since
the names say nothing until the table of contents is there. Which layer it is, its
digest says. Used by images_load.py.
"""

from __future__ import annotations

import contextlib
import io
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO, cast

from pydock_lab.daemon.store.blobs import BlobStore, BlobWriter
from pydock_lab.daemon.store.compression import decompress, detect
from pydock_lab.daemon.store.drafts import ChunkReader, LayerDraft
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.store.tree import clean
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import media_types, tarformat
from pydock_lab.spec.tarformat import Entry, TarReader

_MAX_DOCUMENT = 16 << 20
_MAX_DOCUMENTS = 64 << 20
_MAX_MEMBERS = 100_000
_MAX_LINKS = 40
_CHUNK = 1 << 20
# The compressions that a manifest has a name for.
_MEDIA_TYPES = {"gzip": media_types.OCI_LAYER_GZIP, "zstd": media_types.OCI_LAYER_ZSTD}


@dataclass
class Member:
    """A layer of the archive.

    Attributes:
        size: Bytes in the archive.
        draft: Unpacked, or None where the store has the layer already.
        blob: Its compressed form, not committed yet, or None where it is a plain tar.
        media_type: Of the blob.
    """

    size: int
    draft: LayerDraft | None = None
    blob: BlobWriter | None = None
    media_type: str = ""


class ImageArchive:
    """What is in an archive; leaving its `with` drops the layers that nobody took.

    Args:
        layers: Unpacks.
        blobs: Takes compressed layers as they are.
        holder: Holds what the store has already.
    """

    def __init__(self, layers: LayerStore, blobs: BlobStore, holder: str) -> None:
        self._layers = layers
        self._blobs = blobs
        self._holder = holder
        self._documents: dict[str, bytes] = {}
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ImageArchive:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def read(self, stream: IO[bytes]) -> None:
        """Read the archive, a plain tar, to its end.

        Raises:
            InvalidParameter: it is malformed, or far larger than any archive of images.
        """
        reader = TarReader(stream)
        left = _MAX_DOCUMENTS
        for number, entry in enumerate(reader):
            path = clean(entry.name)
            if number > _MAX_MEMBERS or left < 0:
                raise InvalidParameter("archive is larger than the engine's limit for unpacking")
            if entry.type == tarformat.REGULAR:
                self._forget(path)
                left -= self._regular(path, entry, reader)
            elif entry.type == tarformat.SYMLINK:
                target = entry.linkname
                self._links[path] = clean(target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}")
            elif entry.type == tarformat.LINK:
                self._links[path] = clean(entry.linkname)
            elif entry.type in (tarformat.CHARACTER, tarformat.BLOCK_DEVICE):
                raise InvalidParameter(f"device nodes are not allowed here: {entry.name}")
        reader.finish()

    def __contains__(self, path: str) -> bool:
        return self._resolve(path) in self._documents

    def document(self, path: str) -> bytes:
        """Return a small file. Raises InvalidParameter."""
        found = self._documents.get(self._resolve(path))
        if found is None:
            raise InvalidParameter(f"invalid archive: open {path}: no such file or directory")
        return found

    def layer(self, path: str, diff_id: str) -> Member:
        """Return a layer; its draft is given away once, later the store has it. Raises InvalidParameter."""
        member = self._members.get(self._resolve(path))
        if member is None:
            raise InvalidParameter(f"invalid archive: open {path}: no such file or directory")
        taken = replace(member)
        if member.draft is not None and member.draft.diff_id == diff_id:
            member.draft = None
        return taken

    def _regular(self, path: str, entry: Entry, reader: TarReader) -> int:
        """Take one file; return how many bytes of memory it costs."""
        content = cast("IO[bytes]", io.BufferedReader(ChunkReader(reader.content()), _CHUNK))
        head = cast("io.BufferedReader", content).peek(tarformat.BLOCK)[: tarformat.BLOCK]
        if kind := detect(head):
            self._members[path] = self._compressed(entry, content, kind)
            return 0
        if _is_tar(head, entry.size):
            self._members[path] = self._plain(path, entry, content)
            return 0
        if entry.size > _MAX_DOCUMENT:
            return 0  # no document and no layer: nothing will ask for it
        self._documents[path] = content.read()
        return entry.size

    def _plain(self, path: str, entry: Entry, content: IO[bytes]) -> Member:
        digest = f"sha256:{path.rpartition('/')[2]}"
        if path.startswith("blobs/sha256/") and self._layers.hold_diff(digest, self._holder):
            return Member(entry.size)  # its bytes are skipped: those in the store have been verified
        return Member(entry.size, self._stack.enter_context(self._layers.prepare(content)))

    def _compressed(self, entry: Entry, content: IO[bytes], kind: str) -> Member:
        if kind not in _MEDIA_TYPES:
            return Member(entry.size, self._stack.enter_context(self._layers.prepare(decompress(content))))
        blob = self._stack.enter_context(self._blobs.writer())
        kept = _Kept(content, blob)
        draft = self._stack.enter_context(self._layers.prepare(decompress(cast("IO[bytes]", kept))))
        while kept.read(_CHUNK):
            pass  # what follows the compressed stream is part of the blob
        return Member(entry.size, draft, blob, _MEDIA_TYPES[kind])

    def _forget(self, path: str) -> None:
        """A later member of the same name counts."""
        self._links.pop(path, None)
        self._documents.pop(path, None)
        self._members.pop(path, None)

    def _resolve(self, path: str) -> str:
        """Follow the links that `docker save` made of layers that are in twice."""
        for _ in range(_MAX_LINKS):
            if path not in self._links:
                break
            path = self._links[path]
        return path


class _Kept:
    """Reads through to a stream and keeps what passes."""

    def __init__(self, source: IO[bytes], blob: BlobWriter) -> None:
        self._source = source
        self._blob = blob

    def read(self, count: int) -> bytes:
        data = self._source.read(count)
        if data:
            self._blob.write(data)
        return data


def _is_tar(head: bytes, size: int) -> bool:
    """Whether a file begins as a tar does; an empty one is two blocks of zeros."""
    if size % tarformat.BLOCK or len(head) < tarformat.BLOCK:
        return False
    if not head.strip(b"\0"):
        return True
    with contextlib.suppress(InvalidParameter):
        tarformat.decode_header(head)
        return True
    return False
