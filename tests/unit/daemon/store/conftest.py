"""A store on scratch directories, and tars made to order."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="machine: device nodes need root")


@dataclass
class Stores:
    """The stores of one data root; `reopen` is what a new daemon does."""

    root: Path
    database: Database
    blobs: BlobStore
    layers: LayerStore
    images: ImageStore

    @classmethod
    def open(cls, root: Path) -> Stores:
        database = Database(root / "meta.db")
        layers = LayerStore(root / "layers", database, Trace())
        return cls(root, database, BlobStore(root / "blobs"), layers, ImageStore(database, layers))

    def reopen(self) -> None:
        self.database.close()
        self.__dict__.update(Stores.open(self.root).__dict__)

    def put_image(self, *diff_ids: str, created: str = "2024-01-01T00:00:00Z", **config: object) -> Image:
        document = {"created": created, "config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        return self.images.put(msgspec.json.encode({"architecture": "amd64", "os": "linux", **document}))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = Stores.open(tmp_path)
    yield opened
    opened.database.close()


MakeTar = Callable[..., bytes]


def make_tar(*members: tuple[str, object], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """Pack members: (name, bytes) a file, (name, None) a directory, (name, TarInfo) anything."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for name, what in members:
            if isinstance(what, tarfile.TarInfo):
                what.name = name
                tar.addfile(what)
                continue
            info = tarfile.TarInfo(name)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                assert isinstance(what, bytes)
                info.size = len(what)
                tar.addfile(info, io.BytesIO(what))
    return buffer.getvalue()


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A symlink or hard link for `make_tar`."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sparse(name: str, size_bytes: int) -> bytes:
    """A tar of one file that is nothing but a hole, in GNU tar's old form: 1.5 kB, whatever its size."""
    header = bytearray(tarformat.encode(Entry(name, "S")))
    header[257:265] = b"ustar  \0"
    header[483:495] = b"\x80" + size_bytes.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tarformat.END
