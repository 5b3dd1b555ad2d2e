"""Points in time as Docker's clients write them: `10m`, `1700000000.5`, `2024-01-02T15:04:05Z`, `2024-01-02`.

A time without a zone is in the daemon's own. What can't be read is refused in the
words of Go's `time.Parse`. Source: moby api/types/time (GetTimestamp, ParseTimestamps).
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.errors import InvalidParameter

_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_LAYOUT = re.compile(r"2006|01|02|15|04|05|\.999999999|Z07:00|[^0-9.Z]")
_NUMBERS = {
    "2006": ("year", 0, 9999),
    "01": ("month", 1, 12),
    "02": ("day", 1, 31),
    "15": ("hour", 0, 23),
    "04": ("minute", 0, 59),
    "05": ("second", 0, 59),
}
_ZONE = re.compile(r"Z|([+-])(\d\d):(\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time_ns(text: str) -> int:
    """Return nanoseconds since the epoch.

    Args:
        text: Seconds with an optional fraction, a Go duration before now, or RFC 3339 of which seconds,
            minutes, hours and zone may be missing from the right.

    Raises:
        InvalidParameter: none of these.
    """
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
    span = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) < 2 else ""
    if span and "".join(match[0] for match in _DURATION.finditer(span)) == span:
        ago_ns = sum(int(float(m[1]) * _UNITS_NS[m[2]]) for m in _DURATION.finditer(span))
        return time.time_ns() + (ago_ns if text.startswith("-") else -ago_ns)
    if "-" not in text:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')
    return _parse(text, _layout_of(text))


def until_ns(filters: Filters) -> int | None:
    """Return the moment of a prune's `until` filter, None where there is none.

    Raises:
        InvalidParameter: it is no time, or there are several.
    """
    values = filters.values("until")
    if len(values) > 1:
        raise InvalidParameter("more than one until filter specified")
    return parse_time_ns(values[0]) if values else None


def _layout_of(text: str) -> str:
    """Guess which of Go's layouts a time is written in, as GetTimestamp does."""
    has_zone = any(sign in text for sign in "zZ+") or text.count("-") == 3
    zone = "Z07:00" if has_zone else ""
    if "." in text:
        return f"2006-01-02T15:04:05.999999999{zone}"
    if "T" not in text:
        return f"2006-01-02{zone}"
    colons = text.count(":") - (1 if has_zone and not set(text) & set("zZ") else 0)
    return f"2006-01-02T15{':04:05'[: 3 * max(0, min(colons, 2))]}{zone}"


def _parse(text: str, layout: str) -> int:
    """Read a time by a layout, element by element; the errors are time.Parse's."""
    found = dict.fromkeys(_NUMBERS, 0)
    fraction, offset_s = "", _local_offset_s()
    rest = text
    for element in _LAYOUT.findall(layout):
        if element in _NUMBERS:
            name, least, most = _NUMBERS[element]
            digits, rest_after = rest[: len(element)], rest[len(element) :]
            if len(digits) < len(element) or not (digits.isascii() and digits.isdigit()):
                raise _unreadable(text, layout, rest, element)
            if not least <= int(digits) <= most:
                raise InvalidParameter(f'parsing time "{text}": {name} out of range')
            found[element], rest = int(digits), rest_after
        elif element == ".999999999":
            match = re.match(r"\.(\d+)", rest)
            if match is not None:
                fraction, rest = match[1], rest[match.end() :]
        elif element == "Z07:00":
            match = _ZONE.match(rest)
            if match is None:
                raise _unreadable(text, layout, rest, element)
            offset_s = (int(match[2]) * 3600 + int(match[3]) * 60) * (-1 if match[1] == "-" else 1) if match[1] else 0
            rest = rest[match.end() :]
        elif rest.startswith(element):
            rest = rest[1:]
        else:
            raise _unreadable(text, layout, rest, element)
    if rest:
        raise InvalidParameter(f'parsing time "{text}": extra text: "{rest}"')
    try:
        moment = datetime(*found.values(), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    except ValueError:
        raise InvalidParameter(f'parsing time "{text}": day out of range') from None
    seconds = (moment - _EPOCH) // timedelta(seconds=1) - offset_s
    return seconds * 10**9 + int(fraction[:9].ljust(9, "0"))


def _unreadable(text: str, layout: str, rest: str, element: str) -> InvalidParameter:
    return InvalidParameter(f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"')


def _local_offset_s() -> int:
    return time.localtime().tm_gmtoff
