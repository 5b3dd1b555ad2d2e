"""Numbers as Docker writes them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def byte_count(count: float) -> str:
    """Bytes in powers of ten with three figures, `13.2MB`, as `docker image ls` does (go-units HumanSize)."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g}{_UNITS[unit]}"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`, `1,200 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
