"""Points in time as Docker writes them: RFC 3339, UTC, up to nine digits of a second.

Python's datetime stops at microseconds, so time is nanoseconds since the epoch here.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from pydock_lab.errors import InvalidParameter

ZERO = "0001-01-01T00:00:00Z"
_RFC3339 = re.compile(r"^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$")


def parse(text: str) -> int:
    """Return nanoseconds since the epoch of an RFC 3339 time. Raises InvalidParameter."""
    match = _RFC3339.match(text)
    if match is None:
        raise InvalidParameter(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse')
    date, clock, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise InvalidParameter(f'parsing time "{text}": {error}') from None
    seconds = (whole - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def render(time_ns: int) -> str:
    """Return a time as Go's RFC3339Nano does: no trailing zeros in the fraction."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
