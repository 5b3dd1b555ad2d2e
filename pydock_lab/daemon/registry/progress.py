"""Progress of a pull or push in Docker's JSON form, one document per step.

Source: moby pkg/jsonmessage, distribution/utils/progress.go (words and order).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]

_INTERVAL_S = 0.1


class LayerProgress:
    """The line of one layer in a pull or push.

    Args:
        send: Gets every document.
        digest: Of the blob; twelve of its digits name the line.
    """

    def __init__(self, send: Progress, digest: str) -> None:
        self._send = send
        self._id = digest.partition(":")[2][:12]
        self._last = 0.0

    def status(self, text: str) -> None:
        """Say a word: `Pulling fs layer`, `Pull complete`."""
        self._send({"status": text, "progressDetail": {}, "id": self._id})
        self._last = 0.0

    def advance(self, text: str, current: int, total: int) -> None:
        """Say how far it is; ten times a second at most."""
        now = time.monotonic()
        if now - self._last < _INTERVAL_S and current != total:
            return
        self._last = now
        detail = {"current": current, "total": total}
        self._send({"status": text, "progressDetail": detail, "progress": bar(current, total), "id": self._id})


def bar(current: int, total: int) -> str:
    """`[=====>    ]  1.2MB/3.4MB`, as older clients print it."""
    if total <= 0:
        return f"{human_size(current):>8}"
    done = min(current * 50 // total, 50)
    arrow = "=" * done + (">" if done < 50 else "")
    return f"[{arrow.ljust(50)}] {human_size(current):>8}/{human_size(total)}"


def human_size(count: int) -> str:
    """Bytes in decimal units with four significant digits: `1.235MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.4g}{units[0]}"
