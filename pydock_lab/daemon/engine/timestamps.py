"""Points in time as Docker's clients write them: `10m`, `1700000000.5`, `2024-01-02T15:04:05Z`.

Source: moby api/types/time (GetTimestamp, ParseTimestamps).
"""

from __future__ import annotations

import re
import time

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import timestamps

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_ZONE = re.compile(r"T.*([Zz]|[+-]\d\d:\d\d)$")


def parse_time_ns(text: str) -> int:
    """Return nanoseconds since the epoch.

    Args:
        text: Seconds with an optional fraction, a Go duration before now, or RFC 3339 (a date alone
            and a missing zone are taken too).

    Raises:
        InvalidParameter: none of these.
    """
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
    if text and "".join(match[0] for match in _DURATION.finditer(text)) == text:
        return time.time_ns() - sum(int(float(m[1]) * _UNITS_NS[m[2]]) for m in _DURATION.finditer(text))
    if "-" not in text:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')
    full = text if _ZONE.search(text) else f"{text}Z" if "T" in text else f"{text}T00:00:00Z"
    return timestamps.parse(full)
