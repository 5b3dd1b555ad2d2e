"""The host's dynamic loader as a lookup: which file does a library's name mean here?

Follows ld.so(8): DT_RUNPATH with `$ORIGIN`, then /etc/ld.so.cache, then the
default directories. Not covered: LD_LIBRARY_PATH, DT_RPATH inherited from the
program that loads a library, and the glibc-hwcaps variants of a library (the
plain one fits every machine).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.daemon.catalog.elf import Elf, read_elf

_CACHE = Path("/etc/ld.so.cache")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_DEFAULT_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


@dataclass(frozen=True)
class Closure:
    """Everything some ELF files need to run.

    Attributes:
        libraries: Absolute host paths by the name they are asked for.
        loaders: Absolute paths of the interpreters named by programs.
        missing: Names that nothing on this host answers, each with the file that asks for it.
    """

    libraries: dict[str, Path]
    loaders: frozenset[str]
    missing: dict[str, Path]


class Loader:
    """Finds libraries as this host's dynamic loader would."""

    def __init__(self, cache: Path = _CACHE, directories: tuple[str, ...] = _DEFAULT_DIRECTORIES) -> None:
        self._cached = read_cache(cache.read_bytes()) if cache.exists() else {}
        self._directories = tuple(Path(directory) for directory in directories)
        self._read: dict[Path, Elf | None] = {}

    def elf(self, path: Path) -> Elf | None:
        """Return the headers of a file, None where it is no ELF file; remembered."""
        if path not in self._read:
            self._read[path] = read_elf(path)
        return self._read[path]

    def find(self, name: str, machine: tuple[int, int], asker: Path | None = None) -> Path | None:
        """Return the file that a library's name means to `asker`, or None."""
        for candidate in self._candidates(name, asker):
            elf = self.elf(candidate) if candidate.is_file() else None
            if elf is not None and elf.machine == machine:
                return candidate
        return None

    def _candidates(self, name: str, asker: Path | None) -> list[Path]:
        if "/" in name:
            return [Path(name)]
        found: list[Path] = []
        if asker is not None and (elf := self.elf(asker)) is not None:
            origin = str(asker.resolve().parent)
            for directory in elf.runpath:
                expanded = directory.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
                found.append(Path(expanded) / name)
        found += self._cached.get(name, [])
        found += [directory / name for directory in self._directories]
        return found

    def closure(self, files: list[Path]) -> Closure:
        """Find all libraries that `files` need, directly or through one another."""
        libraries: dict[str, Path] = {}
        loaders: set[str] = set()
        missing: dict[str, Path] = {}
        queue = list(files)
        for asker in queue:
            elf = self.elf(asker)
            if elf is None:
                continue
            if elf.interpreter:
                loaders.add(elf.interpreter)
            for name in elf.needed:
                if name in libraries or name in missing:
                    continue
                library = self.find(name, elf.machine, asker)
                if library is None:
                    missing[name] = asker
                else:
                    libraries[name] = library
                    queue.append(library)
        return Closure(libraries, frozenset(loaders), missing)


def read_cache(raw: bytes) -> dict[str, list[Path]]:
    """Read ld.so.cache: library name → files, best first; entries for special hardware are left out.

    Source: glibc sysdeps/generic/dl-cache.h (struct cache_file_new).
    """
    start = raw.find(_CACHE_MAGIC)
    if start < 0:
        return {}
    (count,) = struct.unpack_from("=I", raw, start + len(_CACHE_MAGIC))
    found: dict[str, list[Path]] = {}
    for index in range(count):
        _, key, value, _, hwcap = struct.unpack_from("=iIIIQ", raw, start + 48 + 24 * index)
        if hwcap == 0:
            found.setdefault(_text(raw, start + key), []).append(Path(_text(raw, start + value)))
    return found


def _text(raw: bytes, offset: int) -> str:
    return raw[offset : raw.index(b"\0", offset)].decode(errors="surrogateescape")
