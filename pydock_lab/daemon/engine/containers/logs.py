r"""Reading what a container printed: the json-file log, from its end or its beginning, and live.

The keeper writes the file (runtime); one record per line:
`{"log":"…\n","stream":"stdout","time":"2024-…Z"}`, rotated to `.1`, `.2`, ….
Source: moby daemon/logger/jsonfilelog.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_plus

import msgspec

from pydock_lab.daemon.engine.containers.filewatch import FileWatch
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.spec import timestamps

_CHUNK = 1 << 18
# A follower looks again after a while, even if nothing has told it to.
_PATIENCE_S = 5.0
_STREAMS = {"stdout": 1, "stderr": 2}


class Line(msgspec.Struct):
    """One record of the log."""

    log: str = ""
    stream: str = "stdout"
    time: str = ""
    attrs: dict[str, str] = {}


@dataclass(frozen=True)
class LogQuery:
    """What of the log is wanted.

    Args:
        stdout, stderr: Which streams.
        since_ns, until_ns: Span of time, 0 for no bound.
        tail: The last so many records, -1 for all.
        follow: Go on until the container ends.
        timestamps, details: Put the time, the attributes before each record.
        tty: One raw stream, without frames.
        end: Inode of the last file and the size to which it is read, None for all of it.
    """

    stdout: bool = True
    stderr: bool = True
    since_ns: int = 0
    until_ns: int = 0
    tail: int = -1
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    tty: bool = False
    end: tuple[int, int] | None = None


async def read_logs(container: Container, path: Path, query: LogQuery, watch: FileWatch) -> AsyncIterator[bytes]:
    """Yield the wanted records as Docker's stream (frames, or raw with a tty), in chunks."""
    with contextlib.ExitStack() as stack:
        # Watched before the first read: what is written in between is told.
        changed = stack.enter_context(watch.changes(path.parent)) if query.follow else asyncio.Event()
        reader = stack.enter_context(contextlib.closing(_LogReader(path, query)))
        while chunk := await asyncio.to_thread(reader.read_past):
            yield chunk
        while query.follow and not reader.past_until:
            # Asked before the read: what was written before the end is read after it.
            alive = container.state.running or container.state.status == "restarting"
            changed.clear()
            if output := reader.read_more():
                yield output
            elif not alive or (query.until_ns and time.time_ns() > query.until_ns):
                return
            else:
                await _change_or_end(container, changed, query.until_ns)


async def _change_or_end(container: Container, changed: asyncio.Event, until_ns: int) -> None:
    """Wait until there may be more to read, or nothing more to wait for."""
    patience_s = _PATIENCE_S
    if until_ns:
        patience_s = min(patience_s, max(0.0, (until_ns - time.time_ns()) / 1e9))
    end = container.next_exit()
    waiting = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait((end, waiting), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        end.cancel()


class _LogReader:
    """One pass over a log: what was there, then what comes, across rotations."""

    def __init__(self, path: Path, query: LogQuery) -> None:
        self._path = path
        self._query = query
        self._since, self._until = _to_the_second(query.since_ns), _to_the_second(query.until_ns + 1)
        self._rest = b""
        self._files = _open_files(path)
        # How much of the newest file is to be read, -1 for all that comes.
        self._left = self._newest_size() if query.end is None else self._cut(*query.end)
        if query.tail >= 0:
            self._skip_to_tail(query.tail)
        self.past_until = False

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def read_past(self) -> bytes:
        """Return the next chunk of what was there, b"" at its end (blocking)."""
        while self._files:
            output, ended = self._read(self._files[0])
            if output:
                return output
            if ended:
                if len(self._files) == 1:
                    return b""
                self._files.pop(0).close()
        return b""

    def read_more(self) -> bytes:
        """Return what has been written since, b"" for nothing."""
        if not self._files:
            self._files = _open_files(self._path)
        while self._files:
            # Looked at before the read: a file that is rotated already gets no more.
            rotated = len(self._files) == 1 and self._rotated(self._files[0])
            output, ended = self._read(self._files[0])
            if output or not ended:
                return output
            if rotated:
                self._files += _open_newer(self._path, self._files[0])
            if len(self._files) == 1:
                return b""
            self._files.pop(0).close()
        return b""

    def _read(self, file: BinaryIO) -> tuple[bytes, bool]:
        """Return rendered records, and whether the file has no more for now."""
        last = self._left >= 0 and len(self._files) == 1
        data = file.read(min(_CHUNK, self._left) if last else _CHUNK)
        if not data:
            return b"", True
        self._left -= len(data) if last else 0
        lines, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        return (self._render(lines.split(b"\n")) if newline else b""), False

    def _render(self, lines: list[bytes]) -> bytes:
        query, output = self._query, []
        for text in lines:
            try:
                line = _decode(text)
            except msgspec.DecodeError:
                continue
            if not (query.stdout if line.stream == "stdout" else query.stderr):
                continue
            if query.since_ns and _earlier(line.time, self._since, query.since_ns):
                continue
            if query.until_ns and not _earlier(line.time, self._until, query.until_ns + 1):
                self.past_until = True
                break
            message = self._decorate(line).encode("utf-8", "surrogateescape")
            if not query.tty:
                output.append(struct.pack(">BxxxL", _STREAMS.get(line.stream, 1), len(message)))
            output.append(message)
        return b"".join(output)

    def _decorate(self, line: Line) -> str:
        message = line.log
        if self._query.details:
            pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(line.attrs.items()))
            message = f"{','.join(pairs)} {message}"
        if self._query.timestamps:
            moment, _, fraction = line.time.rstrip("Z").partition(".")
            message = f"{moment}.{fraction.ljust(9, '0')}Z {message}"
        return message

    def _cut(self, inode: int, size: int) -> int:
        """Forget what came after a position; return how much of its file is to be read."""
        for index, file in enumerate(self._files):
            if os.fstat(file.fileno()).st_ino == inode:
                for newer in self._files[index + 1 :]:
                    newer.close()
                del self._files[index + 1 :]
                return size
        return -1

    def _newest_size(self) -> int:
        """Return what there is now, where nobody follows: what is written while it is read is not of the past."""
        return -1 if self._query.follow or not self._files else os.fstat(self._files[-1].fileno()).st_size

    def _rotated(self, file: BinaryIO) -> bool:
        try:
            return not os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _skip_to_tail(self, count: int) -> None:
        """Move the files so that `count` records are left, reading backwards from the newest end."""
        wanted = count
        for index in range(len(self._files) - 1, -1, -1):
            newest = index == len(self._files) - 1
            wanted = _seek_back(self._files[index], wanted, self._left if newest else -1)
            if newest and self._left >= 0:
                self._left = max(0, self._left - self._files[index].tell())
            if wanted <= 0:
                for file in self._files[:index]:
                    file.close()
                del self._files[:index]
                return


def _to_the_second(moment_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment_ns // 1_000_000_000))


def _earlier(written: str, second: str, moment_ns: int) -> bool:
    """Compare a record's time with a moment and its second; most are told apart without being parsed."""
    begins = written[: len(second)]
    return begins < second if begins != second else timestamps.parse(written) < moment_ns


_decode = msgspec.json.Decoder(Line).decode


def _open_files(path: Path) -> list[BinaryIO]:
    """Open the log and its rotated parts, oldest first."""
    files: list[BinaryIO] = []
    for name in _names(path):
        try:
            files.append(name.open("rb"))
        except FileNotFoundError:
            break
    files.reverse()
    return files


def _open_newer(path: Path, known: BinaryIO) -> list[BinaryIO]:
    """Open the parts of the log that came after one of them, oldest first."""
    files = _open_files(path)
    same = [os.path.samestat(os.fstat(file.fileno()), os.fstat(known.fileno())) for file in files]
    newer = same.index(True) + 1 if True in same else 0
    for file in files[:newer]:
        file.close()
    return files[newer:]


def _names(path: Path) -> Iterator[Path]:
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1


def _seek_back(file: BinaryIO, count: int, size: int = -1) -> int:
    """Place a file before the last `count` lines of its first `size` bytes; return how many lines are missing."""
    position = file.seek(0, os.SEEK_END) if size < 0 else file.seek(size)
    if count <= 0:
        return 0
    newlines = 0
    while position > 0:
        start = max(0, position - _CHUNK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            # The newline at the very end closes the last line; it does not begin one.
            newlines += 1
            if newlines == count + 1:
                file.seek(start + at + 1)
                return 0
        position = start
    file.seek(0)
    return count - newlines
