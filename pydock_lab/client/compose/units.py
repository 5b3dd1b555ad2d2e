"""Sizes, durations and truths as Compose files write them, and as Compose prints them.

Source: docker/go-units, Go's time.Duration, compose-spec 11-extension.md
("Specifying durations", "Specifying byte values").
"""

from __future__ import annotations

import re
from typing import Any

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([bkmgtp])?(?:i?b)?\s*$", re.IGNORECASE)
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_BOOLEANS = {**dict.fromkeys(("true", "yes", "on", "y"), True), **dict.fromkeys(("false", "no", "off", "n"), False)}


def size_bytes(value: Any) -> int:
    """`64m`, `1.5gb` or a number → bytes.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, int):
        return value
    text = str(value)
    if text == "-1":  # "no limit", of swap
        return -1
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])


def duration_ns(value: Any) -> int:
    """`1m30s` → nanoseconds.

    Raises:
        ValueError: it is no duration.
    """
    text = str(value).strip()
    if text in ("0", ""):
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        hint = f"time: missing unit in duration {text!r}" if text.isdigit() else f"time: invalid duration {text!r}"
        raise ValueError(hint.replace("'", '"'))
    return sum(int(float(number) * _NANOSECONDS[unit]) for number, unit in parts)


def duration_text(nanoseconds: int) -> str:
    """Nanoseconds as Go prints them: `1m30s`, `1.5s`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.10g}{unit}"
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    tail = f"{seconds}" + (f"{fraction / 1e9:.9f}".rstrip("0")[1:] if fraction else "") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def truth(value: Any) -> bool:
    """`true`, `"yes"` → True."""
    return value if isinstance(value, bool) else str(value).lower() in _TRUE


def boolean(value: Any) -> bool:
    """What stands where a boolean should: itself, or text, as a variable's value always is.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bool):
        return value
    try:
        return _BOOLEANS[str(value).lower()]
    except KeyError:
        raise ValueError(f"invalid boolean: {value}") from None


def text(value: Any) -> str:
    """A scalar as text, the way Go prints it: `true`, `1.5`, `2`, and nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if not value.is_integer() else f"{value:.0f}"
    return str(value)
