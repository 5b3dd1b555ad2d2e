r"""Docker's json-file log: one JSON object a line, `{"log":"text\n","stream":"stdout","time":"…Z"}`.

Lines are cut out of a chunk and quoted all at once: the chunk is JSON-escaped in
one call of C code and every newline in it is then replaced by the end of one
record and the start of the next. A line longer than 16 KiB becomes several
records, of which only the last ends in a newline, as Docker's own copier does.

Source: Docker's documentation of the json-file driver; its observed output.
"""

from __future__ import annotations

import contextlib
import os
import time
from json.encoder import encode_basestring

LINE_BYTES = 16 * 1024

# Stands for a newline while a chunk is being escaped; chunks that contain it take the slow way.
_MARK = "\x80"


class Pending:
    """The unfinished last line of one stream."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rest = b""


class LogFile:
    """One container's log file, rotated by size.

    Args:
        path: Absolute.
        max_size: Bytes, 0 for never.
        max_file: Files kept, the current one included (`path`, `path.1`, …).
        attrs: Added to each record as `attrs`.
    """

    def __init__(self, path: str, max_size: int = 0, max_file: int = 1, attrs: dict[str, str] | None = None) -> None:
        self.path = path
        self._max_size = max_size
        self._max_file = max(1, max_file)
        self._attrs = ""
        if attrs:
            pairs = ",".join(f"{_quote(key)}:{_quote(value)}" for key, value in sorted(attrs.items()))
            self._attrs = f'"attrs":{{{pairs}}},'
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        self._second = -1
        self._prefix = ""

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    @property
    def position(self) -> tuple[int, int]:
        """The current file's inode and how much of it has been written."""
        status = os.fstat(self._fd)
        return status.st_ino, status.st_size

    def write(self, pending: Pending, chunk: bytes) -> None:
        """Log what one stream printed; an unfinished line waits in `pending`."""
        data = pending.rest + chunk if pending.rest else chunk
        end = data.rfind(b"\n") + 1
        lines, rest = data[:end], data[end:]
        records = []
        if lines:
            if end > LINE_BYTES and max(map(len, lines.split(b"\n"))) > LINE_BYTES:
                records += self._long_lines(pending.name, lines)
            else:
                records.append(self._records(pending.name, lines))
        while len(rest) >= LINE_BYTES:
            records.append(self._record(pending.name, rest[:LINE_BYTES]))
            rest = rest[LINE_BYTES:]
        pending.rest = rest
        if records:
            self._write("".join(records).encode("utf-8", "surrogatepass"))

    def flush(self, pending: Pending) -> None:
        """Log an unfinished last line at the end of a stream."""
        if pending.rest:
            self._write(self._record(pending.name, pending.rest).encode("utf-8", "surrogatepass"))
            pending.rest = b""

    def _long_lines(self, stream: str, lines: bytes) -> list[str]:
        records = []
        for line in _split(lines):
            while len(line) > LINE_BYTES:
                records.append(self._record(stream, line[:LINE_BYTES]))
                line = line[LINE_BYTES:]
            records.append(self._record(stream, line))
        return records

    def _records(self, stream: str, lines: bytes) -> str:
        """Return complete lines as records."""
        text = lines.decode("utf-8", "replace")
        tail = f'","stream":"{stream}",{self._attrs}"time":"{self._now()}"}}\n'
        if "\\" not in text:
            # No backslash in, so every `\n` in the escaped text is a newline.
            body, newline = _quote(text[:-1])[1:-1], "\\n"
        elif _MARK not in text:
            body, newline = _quote(text[:-1].replace("\n", _MARK))[1:-1], _MARK
        else:
            return "".join(self._record(stream, line) for line in _split(lines))
        return '{"log":"' + body.replace(newline, "\\n" + tail + '{"log":"') + "\\n" + tail

    def _record(self, stream: str, line: bytes) -> str:
        """Return one line, finished or not, as a record."""
        quoted = _quote(line.decode("utf-8", "replace"))
        return f'{{"log":{quoted},"stream":"{stream}",{self._attrs}"time":"{self._now()}"}}\n'

    def _now(self) -> str:
        """Return the time as Go's RFC3339Nano prints it: no trailing zeros in the fraction."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second:
            self._second = seconds
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
        return f"{self._prefix}{fraction}Z"

    def _write(self, raw: bytes) -> None:
        view = memoryview(raw)
        if self._max_size and self._size and self._size + len(raw) > self._max_size:
            self._rotate()
        # A full disk loses log lines, never the container.
        with contextlib.suppress(OSError):
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]

    def _rotate(self) -> None:
        """Move `path` to `path.1`, `path.1` to `path.2`, …; begin a new file."""
        os.close(self._fd)
        with contextlib.suppress(OSError):
            for number in range(self._max_file - 1, 0, -1):
                older = f"{self.path}.{number}"
                newer = f"{self.path}.{number - 1}" if number > 1 else self.path
                with contextlib.suppress(FileNotFoundError):
                    os.replace(newer, older)
            if self._max_file == 1:
                os.truncate(self.path, 0)
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _split(lines: bytes) -> list[bytes]:
    """Split at newlines only (not at carriage returns), keeping them."""
    return [line + b"\n" for line in lines[:-1].split(b"\n")] if lines.endswith(b"\n") else lines.split(b"\n")


def _quote(text: str) -> str:
    """Return a JSON string as Go writes it: `<`, `>`, `&` and the two Unicode line ends escaped too."""
    quoted = encode_basestring(text)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        if character in quoted:
            quoted = quoted.replace(character, escape)
    if not quoted.isascii() and ("\u2028" in quoted or "\u2029" in quoted):
        quoted = quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return quoted
