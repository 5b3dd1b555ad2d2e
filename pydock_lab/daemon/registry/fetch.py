"""One pull's layers: downloaded, digested and unpacked in one pass, three at a time.

While the event loop writes what comes from the network to a file, a thread of its
own reads that file right behind it, and unpacks. Nothing counts before both digests
are right, the blob's and that of what was in it (diff_id); then the layers are
admitted, lowest first. A connection that breaks is taken up where it broke.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import aiohttp

from pydock_lab.daemon.registry.descriptor import Descriptor
from pydock_lab.daemon.registry.progress import LayerProgress
from pydock_lab.daemon.registry.refusals import Unreachable
from pydock_lab.daemon.registry.session import RegistrySession
from pydock_lab.daemon.store.blobs import BlobStore, BlobWriter
from pydock_lab.daemon.store.compression import decompress
from pydock_lab.daemon.store.drafts import LayerDraft
from pydock_lab.daemon.store.layers import LayerStore, chain_id
from pydock_lab.errors import InvalidParameter, Unavailable

_AT_ONCE = 3
_CHUNK = 1 << 20
_RESUMES = 5
_BACK_OFF_S = 0.4  # five times, doubled: a registry has 12 s to come back
_LOOK_S = 0.1
_BROKEN = (aiohttp.ClientError, asyncio.TimeoutError)


@dataclass(frozen=True)
class Wanted:
    """A layer that is to be fetched."""

    descriptor: Descriptor
    diff_id: str
    line: LayerProgress


class Locks:
    """What the pulls of this daemon are at: nothing is fetched twice at once."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Wait until nobody else holds `key`, then hold it."""
        self._users[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._locks[key]


class LayerFetch:
    """Brings the layers of one image into the store.

    Args:
        holder: Holds every layer from its first moment.
    """

    def __init__(
        self, session: RegistrySession, *, blobs: BlobStore, layers: LayerStore, locks: Locks, holder: str
    ) -> None:
        self._session = session
        self._blobs = blobs
        self._layers = layers
        self._locks = locks
        self._holder = holder
        self._unpacked: set[str] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        # Threads of our own: the loop's are needed to write what these wait for.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="unpack")

    async def run(self, wanted: list[Wanted], parent: str | None) -> set[str]:
        """Fetch layers, lowest first, on top of `parent` (chain_id, or None); return the digests of blobs unpacked."""
        tasks: list[asyncio.Task[None]] = []
        below: asyncio.Task[None] | None = None
        try:
            for layer in wanted:
                self._blobs.pin(layer.descriptor.digest)
                below = asyncio.create_task(self._one(layer, parent, below))
                tasks.append(below)
                parent = chain_id(parent, layer.diff_id)
            await asyncio.gather(*tasks)
            return self._unpacked
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._threads.shutdown(wait=False)
            for layer in wanted:
                self._blobs.unpin(layer.descriptor.digest)

    async def _one(self, layer: Wanted, parent: str | None, below: asyncio.Task[None] | None) -> None:
        """Fetch one layer; admit it when the one below has been."""
        async with self._locks.hold(chain_id(parent, layer.diff_id)):
            if self._layers.find(parent, layer.diff_id, holder=self._holder) is None:
                async with self._slots:
                    draft = await self._draft(layer)
                try:
                    if below is not None:
                        await asyncio.shield(below)
                    await _to_end(self._layers.admit, draft, parent, diff_id=layer.diff_id, holder=self._holder)
                    self._unpacked.add(layer.descriptor.digest)
                finally:
                    await _to_end(draft.drop)
            layer.line.status("Pull complete")

    async def _draft(self, layer: Wanted) -> LayerDraft:
        """Download and unpack one layer."""
        digest, size = layer.descriptor.digest, layer.descriptor.size
        async with self._locks.hold(digest):
            if digest in self._blobs:
                reader = _Behind(self._blobs.path(digest))
                unpacking = self._unpack(reader)
            else:
                with self._blobs.writer() as writer:
                    reader = _Behind(writer.path)
                    unpacking = self._unpack(reader)
                    try:
                        await self._fill(writer, layer, reader)
                        layer.line.status("Verifying Checksum")
                        await _to_end(writer.commit, digest)
                    except BaseException:
                        await _give_up(unpacking, reader)
                        raise
        layer.line.status("Download complete")
        reader.advance(size, complete=True)
        try:
            while not unpacking.done():
                layer.line.advance("Extracting", min(reader.position, size - 1), size)
                await asyncio.wait({unpacking}, timeout=_LOOK_S)
        except BaseException:
            await _give_up(unpacking, reader)
            raise
        draft = unpacking.result()
        layer.line.advance("Extracting", size, size)
        return draft

    def _unpack(self, reader: _Behind) -> asyncio.Future[LayerDraft]:
        """Begin to unpack what `reader` gives, in a thread."""

        def work() -> LayerDraft:
            with reader:
                return self._layers.prepare(decompress(cast("IO[bytes]", reader)))

        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _fill(self, writer: BlobWriter, layer: Wanted, reader: _Behind) -> None:
        """Read a blob to its end, over as many connections as it takes."""
        descriptor = layer.descriptor
        for attempt in range(_RESUMES + 1):
            try:
                await self._read_blob(writer, layer, reader)
            except Unreachable:  # it has answered for the manifest: it may be on its way back
                if attempt == _RESUMES:
                    raise
                await self._pause(layer, attempt)
                continue
            except _BROKEN as error:
                if attempt == _RESUMES:
                    raise Unavailable(f"unexpected EOF: {error or type(error).__name__}") from error
                await self._pause(layer, attempt)
                continue
            if writer.size == descriptor.size:
                return
            if writer.size > descriptor.size or attempt == _RESUMES:
                raise InvalidParameter(f"filesystem layer verification failed for digest {descriptor.digest}")
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _pause(self, layer: Wanted, attempt: int) -> None:
        """Wait before a connection is taken up again, longer each time."""
        pause_s = _BACK_OFF_S * 2**attempt
        layer.line.status(f"Retrying in {pause_s:g} seconds")
        await asyncio.sleep(pause_s)

    async def _read_blob(self, writer: BlobWriter, layer: Wanted, reader: _Behind) -> None:
        descriptor = layer.descriptor
        headers = {"Range": f"bytes={writer.size}-"} if writer.size else {}
        path = f"blobs/{descriptor.digest}"
        async with self._session.request("GET", path, ok=(200, 206), headers=headers) as response:
            # Without range support what is here already comes once more.
            skip = writer.size if response.status == 200 else 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                fresh = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if writer.size + len(fresh) > descriptor.size:
                    raise InvalidParameter(f"filesystem layer verification failed for digest {descriptor.digest}")
                if fresh:
                    await _to_end(writer.write, fresh)
                    reader.advance(writer.size)
                layer.line.advance("Downloading", writer.size, descriptor.size)


class _Behind:
    """A file that is still being written, for a thread that reads behind the writer.

    Attributes:
        position: Bytes that have been read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._news = threading.Condition()
        self._written = 0
        self._complete = False
        self._aborted = False
        self.position = 0

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def advance(self, written: int, *, complete: bool = False) -> None:
        """Let the reader have the bytes up to `written`; `complete`: no more will come."""
        with self._news:
            self._written, self._complete = written, complete
            self._news.notify()

    def abort(self) -> None:
        """Make the reader stop."""
        with self._news:
            self._aborted = True
            self._news.notify()

    def read(self, count: int) -> bytes:
        """Read some bytes, waiting for them; b"" at the end of a complete file."""
        with self._news:
            self._news.wait_for(lambda: self.position < self._written or self._complete or self._aborted)
            if self._aborted:
                raise InvalidParameter("the pull was given up")
            count = min(count, self._written - self.position)
        data = self._file.read(count) or b"" if count else b""
        self.position += len(data)
        return data


async def _to_end(work: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Do something in a thread; a thread can't be stopped, so a cancellation waits for it."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments, **named))
    await _outlast(task)
    task.result()


async def _give_up(unpacking: asyncio.Future[LayerDraft], reader: _Behind) -> None:
    """Stop an unpacking thread; drop what it has made."""
    reader.abort()
    try:
        await _outlast(unpacking)
    finally:
        if unpacking.exception() is None:
            await _to_end(unpacking.result().drop)


async def _outlast(work: asyncio.Future[Any]) -> None:
    """Wait until a thread is through, however often who waits is cancelled: a pull that ends does so twice."""
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # looked at, so that asyncio does not report it
        raise cancellation
