"""What an ELF file asks of the dynamic loader: its interpreter and the libraries it needs.

Only the few headers that answer this are read; nothing is executed (`ldd` would
run the program's own loader). Source: elf(5), System V gABI chapter 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_MAGIC = b"\x7fELF"
_CLASS64 = 2
_LITTLE_ENDIAN = 1
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29


@dataclass(frozen=True)
class Elf:
    """The dynamic linking part of one ELF file.

    Attributes:
        machine: (ELF class, e_machine): a library fits a program when these are equal.
        interpreter: Absolute path of the loader (PT_INTERP), or "" for libraries and static programs.
        needed: Names of the libraries it links to, in order (DT_NEEDED).
        runpath: Directories searched for them first; may hold `$ORIGIN` (DT_RUNPATH, else DT_RPATH).
        dynamic: It has a dynamic section at all.
    """

    machine: tuple[int, int]
    interpreter: str
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    dynamic: bool


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read_elf(path: Path) -> Elf | None:
    """Read one file; return None where it is no ELF file (a script, data) or is cut short."""
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            return None
        try:
            return _read(file)
        except struct.error:
            return None


def _read(file: IO[bytes]) -> Elf:
    identity = _read_at(file, 0, 16)
    wide = identity[4] == _CLASS64
    order = "<" if identity[5] == _LITTLE_ENDIAN else ">"
    header = struct.Struct(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"))
    fields = header.unpack(_read_at(file, 16, header.size))
    machine, table, entry_size, entries = fields[1], fields[4], fields[8], fields[9]
    segments = [_read_segment(file, table + entry_size * index, order, wide) for index in range(entries)]
    interpreter = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    dynamic = False
    for segment in segments:
        if segment.kind == _PT_INTERP:
            interpreter = _read_at(file, segment.offset, segment.size).rstrip(b"\0").decode()
        elif segment.kind == _PT_DYNAMIC:
            dynamic = True
            needed, runpath = _read_dynamic(file, segment, segments, order, wide)
    return Elf((identity[4], machine), interpreter, needed, runpath, dynamic)


def _read_segment(file: IO[bytes], offset: int, order: str, wide: bool) -> _Segment:
    if wide:
        layout = struct.Struct(order + "IIQQQQQQ")
        kind, _, start, address, _, size, _, _ = layout.unpack(_read_at(file, offset, layout.size))
    else:
        layout = struct.Struct(order + "IIIIIIII")
        kind, start, address, _, size, _, _, _ = layout.unpack(_read_at(file, offset, layout.size))
    return _Segment(kind, start, address, size)


def _read_dynamic(
    file: IO[bytes], section: _Segment, segments: list[_Segment], order: str, wide: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pair = struct.Struct(order + ("qQ" if wide else "iI"))
    raw = _read_at(file, section.offset, section.size)
    entries: list[tuple[int, int]] = []
    for tag, value in pair.iter_unpack(raw[: len(raw) // pair.size * pair.size]):
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if strings is None:
        return (), ()

    def text(value: int) -> str:
        file.seek(_file_offset(segments, strings) + value)
        found = b""
        while b"\0" not in found and (chunk := file.read(256)):
            found += chunk
        return found.partition(b"\0")[0].decode(errors="surrogateescape")

    needed = tuple(text(value) for tag, value in entries if tag == _DT_NEEDED)
    # DT_RPATH counts only where there is no DT_RUNPATH (ld.so(8)).
    for wanted in (_DT_RUNPATH, _DT_RPATH):
        if paths := [text(value) for tag, value in entries if tag == wanted]:
            return needed, tuple(part for path in paths for part in path.split(":") if part)
    return needed, ()


def _file_offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise struct.error("an address outside of every segment")


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    found = file.read(size)
    if len(found) < size:
        raise struct.error("the file ends early")
    return found
