"""The tar format: header blocks to typed entries and back; the file system is its callers' matter.

Reads what the tools of the container world write (ustar, pax, GNU long names,
GNU sparse in its four forms, base-256 numbers) and writes pax with fixed
choices, so that the same files give the same bytes under every Python version:
a layer's diff_id depends on them. (`tarfile` promises no such thing, and it
reads pax headers of any size into memory.)

Sources: pax in POSIX.1-2017 `pax`, GNU tar manual ("Standard", "Sparse Formats").
Read by the store's extractor (layers, ADD, contexts, imports) and by the container's own
(`docker cp`); standard library only, as the latter runs before a container's program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from pydock_lab.errors import InvalidParameter

BLOCK = 512
END = bytes(2 * BLOCK)

REGULAR, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"
_HEADER_ONLY = frozenset((LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO))
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE = "x", "g", "L", "K", "S"

XATTR = "SCHILY.xattr."
# Go's archive/tar has the same limit on a header's extension.
_MAX_EXTENSION = 1 << 20
_MAX_NAME = 100


@dataclass
class Entry:
    """One member of a tar.

    Attributes:
        name: As written in the archive (may be absolute or hold `..`); undecodable bytes are surrogates.
        type: One of the type characters above.
        size: Bytes of content once unpacked (holes of a sparse file included).
        linkname: Target of a link or symlink, as written.
        xattrs: Name → value.
        data: Where the stored bytes belong in the file, as (offset, length); None for one piece at 0.
    """

    name: str
    type: str = REGULAR
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    linkname: str = ""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    data: list[tuple[int, int]] | None = None

    @property
    def settable_ns(self) -> int:
        """The time as a file can have it: beyond 34 bits of seconds file systems clamp, and utimensat(2) may refuse."""
        return min(max(self.mtime_ns, -(2**31) * 10**9), 2**34 * 10**9)

    @property
    def segments(self) -> list[tuple[int, int]]:
        """The stored pieces of a regular file as (offset, length)."""
        if self.data is not None:
            return self.data
        return [(0, self.size)] if self.size else []


class TarReader:
    """Iterate over the entries of a tar that can only be read forwards.

    Args:
        stream: Its `read(n)` returns fewer bytes than asked only at the end (a BufferedReader does).
        record: Is handed every byte that is not content of a file, in order (see recipe.py).
    """

    def __init__(self, stream: IO[bytes], record: Callable[[bytes], None] | None = None) -> None:
        self._read = stream.read
        self._record = record
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield entries up to the end-of-archive mark; content not read by then is skipped."""
        while True:
            self._skip_content()
            block = self._read(BLOCK)
            if not block or not block.strip(b"\0"):
                self._note(block)
                return
            yield self._entry(block)

    def finish(self) -> None:
        """Read what follows the end mark, so that a digest of the stream covers it."""
        while rest := self._read(1 << 20):
            self._note(rest)

    def content(self) -> Iterator[bytes]:
        """Yield the stored bytes of the entry that iteration has just returned."""
        while self._unread:
            chunk = self._read(min(self._unread, 1 << 20))
            if not chunk:
                raise InvalidParameter("unexpected EOF")
            self._unread -= len(chunk)
            yield chunk

    def write(self, entry: Entry, fd: int) -> None:
        """Write the content of the entry that iteration has just returned, leaving holes where it has some."""
        if entry.data is None:
            for chunk in self.content():
                written = os.write(fd, chunk)
                while written < len(chunk):
                    written += os.write(fd, chunk[written:])
            return
        segments = iter(entry.data)
        offset = room = 0
        for chunk in self.content():
            view = memoryview(chunk)
            while view:
                if not room:
                    offset, room = next(segments)
                count = os.pwrite(fd, view[:room], offset)
                view, offset, room = view[count:], offset + count, room - count
        os.ftruncate(fd, entry.size)

    def _note(self, raw: bytes) -> None:
        if self._record is not None:
            self._record(raw)

    def _exactly(self, count: int) -> bytes:
        raw = self._read(count)
        if len(raw) != count:
            raise InvalidParameter("unexpected EOF")
        self._note(raw)
        return raw

    def _skip_content(self) -> None:
        while self._unread:
            chunk = self._exactly(min(self._unread, 1 << 20))
            self._unread -= len(chunk)
        if self._padding:
            # May be missing at the very end: `docker build -f OUTSIDE CONTEXT` sends such a tar, Go's reader takes it.
            self._note(self._read(self._padding))
            self._padding = 0

    def _extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION:
            raise InvalidParameter("archive/tar: header field too long")
        return self._exactly(size + -size % BLOCK)[:size]

    def _entry(self, block: bytes) -> Entry:
        """Read one entry from its first header block, extensions included."""
        records: dict[str, bytes] = {}
        holes: list[tuple[int, int]] = []
        long_name = long_link = None
        while True:
            if len(block) != BLOCK:
                raise InvalidParameter("unexpected EOF")
            self._note(block)
            entry = decode_header(block)
            if entry.type == _PAX:
                records, holes = decode_pax(self._extension(entry.size))
            elif entry.type == _PAX_GLOBAL:
                self._extension(entry.size)
            elif entry.type == _GNU_NAME:
                long_name = _text(self._extension(entry.size))
            elif entry.type == _GNU_LINK:
                long_link = _text(self._extension(entry.size))
            else:
                break
            block = self._read(BLOCK)
        if long_name is not None:
            entry.name = long_name
        if long_link is not None:
            entry.linkname = long_link
        apply_pax(entry, records)
        self._unread = 0 if entry.type in _HEADER_ONLY else entry.size
        self._padding = -self._unread % BLOCK
        if entry.type == _GNU_SPARSE:
            self._read_gnu_sparse(entry, block)
        elif any(key.startswith("GNU.sparse.") for key in records):
            self._read_pax_sparse(entry, records, holes)
        if entry.type in _HEADER_ONLY:
            entry.size = 0
        elif entry.type == REGULAR and entry.name.endswith("/"):
            entry.type = DIRECTORY  # how tar said "directory" before ustar
        if "\0" in entry.name or "\0" in entry.linkname or not _is_settable(entry):
            raise InvalidParameter("archive/tar: invalid tar header")
        return entry

    def _read_gnu_sparse(self, entry: Entry, block: bytes) -> None:
        """The old GNU form: a map in the header and in extension blocks behind it."""
        numbers = [_number(block[at : at + 12]) for at in range(386, 482, 12)]
        more, real_size = block[482], _number(block[483:495])
        while more:
            extension = self._exactly(BLOCK)
            numbers += [_number(extension[at : at + 12]) for at in range(0, 504, 12)]
            if len(numbers) * 12 > _MAX_EXTENSION:
                raise InvalidParameter("archive/tar: header field too long")
            more = extension[504]
        entry.type = REGULAR
        self._set_map(entry, numbers, real_size)

    def _read_pax_sparse(self, entry: Entry, records: dict[str, bytes], holes: list[tuple[int, int]]) -> None:
        """The pax forms 0.0 (repeated records), 0.1 (one record) and 1.0 (a map before the content)."""
        if name := records.get("GNU.sparse.name"):
            entry.name = _text(name)
        real_size = records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size") or b"0"
        if records.get("GNU.sparse.major") == b"1":
            numbers = self._sparse_map_before_content()
        elif "GNU.sparse.map" in records:
            numbers = [_decimal(part) for part in records["GNU.sparse.map"].split(b",") if part]
        else:
            numbers = [number for hole in holes for number in hole]
        self._set_map(entry, numbers, _decimal(real_size))

    def _sparse_map_before_content(self) -> list[int]:
        text, wanted = b"", 1
        while True:
            lines = text.split(b"\n")[:-1]
            if lines:
                wanted = 1 + 2 * _decimal(lines[0])
            if len(lines) >= wanted:
                return [_decimal(line) for line in lines[1:wanted]]
            if self._unread < BLOCK or len(text) > _MAX_EXTENSION:
                raise InvalidParameter("archive/tar: invalid tar header")
            text += self._exactly(BLOCK)
            self._unread -= BLOCK

    def _set_map(self, entry: Entry, numbers: list[int], real_size: int) -> None:
        pairs = zip(numbers[::2], numbers[1::2], strict=False)
        data = [(offset, length) for offset, length in pairs if length]
        end = 0
        for offset, length in data:
            if offset < end or length < 0:
                raise InvalidParameter("archive/tar: invalid tar header")
            end = offset + length
        if end > real_size or sum(length for _, length in data) != self._unread:
            raise InvalidParameter("archive/tar: invalid tar header")
        entry.data, entry.size = data, real_size


def _is_settable(entry: Entry) -> bool:
    """Whether its numbers are such as the kernel takes; -1 leaves an owner as it is (chown(2))."""
    owners = all(-1 <= number < 1 << 32 for number in (entry.uid, entry.gid))
    return owners and entry.size < 1 << 63 and all(0 <= number < 1 << 20 for number in (entry.major, entry.minor))


def decode_header(block: bytes) -> Entry:
    """Decode one 512-byte header block.

    Raises:
        InvalidParameter: the checksum or a number is wrong.
    """
    stored = _number(block[148:156])
    if stored != sum(block[:148]) + sum(block[156:]) + 256:
        signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + b" " * 8 + block[156:])
        if stored != signed:
            raise InvalidParameter("archive/tar: invalid tar header")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    kind = chr(block[156])
    if kind in "\x007":
        kind = REGULAR
    size = _number(block[124:136])
    if size < 0:
        raise InvalidParameter("archive/tar: invalid tar header")
    return Entry(
        name=name,
        type=kind,
        mode=_number(block[100:108]) & 0o7777,
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=size,
        mtime_ns=_number(block[136:148]) * 1_000_000_000,
        linkname=_text(block[157:257]),
        major=_number(block[329:337]) if kind in "34" else 0,
        minor=_number(block[337:345]) if kind in "34" else 0,
    )


def decode_pax(text: bytes) -> tuple[dict[str, bytes], list[tuple[int, int]]]:
    """Decode pax records; the second value is the map of a sparse file in form 0.0."""
    records: dict[str, bytes] = {}
    offsets: list[int] = []
    lengths: list[int] = []
    at = 0
    while at < len(text):
        space = text.find(b" ", at, at + 20)
        length = _decimal(text[at:space]) if space > at else 0
        record = text[space + 1 : at + length - 1]
        key, equals, value = record.partition(b"=")
        if length < 5 or at + length > len(text) or text[at + length - 1] != 0x0A or not equals or not key:
            raise InvalidParameter("archive/tar: invalid tar header")
        if key == b"GNU.sparse.offset":
            offsets.append(_decimal(value))
        elif key == b"GNU.sparse.numbytes":
            lengths.append(_decimal(value))
        records[_text(key)] = value
        at += length
    return records, list(zip(offsets, lengths, strict=False))


def apply_pax(entry: Entry, records: dict[str, bytes]) -> None:
    """Let pax records overrule the fields of a header."""
    for key, value in records.items():
        if key.startswith(XATTR):
            entry.xattrs[key[len(XATTR) :]] = value
        elif not value:
            continue  # POSIX: an empty value deletes a record
        elif key == "path":
            entry.name = value.decode("utf-8", "surrogateescape")
        elif key == "linkpath":
            entry.linkname = value.decode("utf-8", "surrogateescape")
        elif key == "size":
            entry.size = _decimal(value)
        elif key == "uid":
            entry.uid = _decimal(value)
        elif key == "gid":
            entry.gid = _decimal(value)
        elif key == "mtime":
            entry.mtime_ns = _nanoseconds(value)


def encode(entry: Entry) -> bytes:
    """Encode the header of one entry: a pax extension where ustar has no room, then ustar."""
    name = entry.name.encode("utf-8", "surrogateescape")
    link = entry.linkname.encode("utf-8", "surrogateescape")
    records: dict[str, bytes] = {XATTR + key: value for key, value in entry.xattrs.items()}
    if len(name) > _MAX_NAME or not name.isascii():
        records["path"] = name
    if len(link) > _MAX_NAME or not link.isascii():
        records["linkpath"] = link
    seconds = entry.mtime_ns // 1_000_000_000
    numbers = {"uid": (entry.uid, 8), "gid": (entry.gid, 8), "size": (entry.size, 12), "mtime": (seconds, 12)}
    fields: dict[str, bytes] = {}
    for key, (number, width) in numbers.items():
        if not 0 <= number < 8 ** (width - 1):
            records[key] = b"%d" % number
            number = 0
        fields[key] = b"%0*o\0" % (width - 1, number)
    header = _ustar(
        name[:_MAX_NAME], entry.type, entry.mode, fields, link[:_MAX_NAME], major=entry.major, minor=entry.minor
    )
    if not records:
        return header
    body = b"".join(_pax_record(key.encode("utf-8", "surrogateescape"), records[key]) for key in sorted(records))
    zero = b"%011o\0" % 0
    extension = {"uid": b"%07o\0" % 0, "gid": b"%07o\0" % 0, "size": b"%011o\0" % len(body), "mtime": zero}
    base = name.rstrip(b"/").rpartition(b"/")[2][: _MAX_NAME - 11]
    return _ustar(b"PaxHeaders/" + base, _PAX, 0, extension, b"") + body + bytes(-len(body) % BLOCK) + header


def _ustar(
    name: bytes, kind: str, mode: int, numbers: dict[str, bytes], link: bytes, *, major: int = 0, minor: int = 0
) -> bytes:
    head = name.ljust(100, b"\0") + b"%07o\0" % mode + numbers["uid"] + numbers["gid"]
    head += numbers["size"] + numbers["mtime"]
    tail = kind.encode() + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(64)
    tail += b"%07o\0%07o\0" % (major, minor) + bytes(167)
    return head + b"%06o\0 " % (sum(head) + sum(tail) + 256) + tail


def _pax_record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE` and a newline, where LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.strip(b" \0").split(b"\0", 1)[0].rstrip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise InvalidParameter("archive/tar: invalid tar header")
    return int(digits, 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise InvalidParameter("archive/tar: invalid tar header")
    return int(text)


def _nanoseconds(text: bytes) -> int:
    """`-12.345` seconds → nanoseconds, without going through a float."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    value = _decimal(whole) * 1_000_000_000 + _decimal(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value
