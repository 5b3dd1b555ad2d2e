"""Values as Docker's flags write them: sizes, durations, fractions of CPUs, numbers, truths.

Each function takes the text and returns the value in the unit its name says, or
raises ValueError with the words Go's libraries use, which learners then meet in
Docker too. Source: docker/go-units size.go, Go strconv and time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?([kKmMgGtTpPeE])?(?:[iI]?[bB])?$")
_SIZE_UNITS = "kmgtpe"
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def size_bytes(text: str) -> int:
    """`64m` → 67108864; `-1` (no limit) stays -1; a bare number is bytes."""
    if text == "-1":
        return -1
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    power = _SIZE_UNITS.index(match[2].lower()) + 1 if match[2] else 0
    return int(_fraction(match[1]) * 1024**power)


def duration_ns(text: str) -> int:
    """`1m30s` → 90000000000; `0` needs no unit."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        missing = "missing unit in duration" if re.fullmatch(r"[\d.]+", body) else "invalid duration"
        raise ValueError(f'time: {missing} "{text}"')
    return sign * sum(int(_fraction(number.rstrip(".") or "0") * _NANOSECONDS[unit]) for number, unit in parts)


def nano_cpus(text: str) -> int:
    """`1.5` → 1500000000."""
    try:
        value = _fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if value.denominator != 1:
        raise ValueError("value is too precise")
    return int(value)


def integer(text: str, *, bits: int = 64, signed: bool = True) -> int:
    """Read a whole number as Go's ParseInt (base 0) does."""
    function = "ParseInt" if signed else "ParseUint"
    try:
        value = int(text, 0) if not re.fullmatch(r"[+-]?0\d+", text) else int(text, 8)
        if text.strip() != text or (not signed and text[0] in "+-"):
            raise ValueError
    except ValueError:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def truth(text: str) -> bool:
    """Read a boolean as Go's ParseBool does."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def key_value(text: str) -> tuple[str, str]:
    """`a=b` → `("a", "b")`; `a` → `("a", "")`."""
    key, _, value = text.partition("=")
    return key, value


def comma_separated(text: str) -> list[str]:
    """Split as encoding/csv does for one line: quotes protect commas."""
    import csv

    return next(csv.reader([text], strict=True), [])


def _fraction(text: str) -> Fraction:
    from fractions import Fraction  # with decimal, which costs every command 2 ms

    return Fraction(text)
