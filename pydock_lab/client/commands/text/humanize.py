"""Sizes and times as Docker's tables write them. Source: docker/go-units."""

from __future__ import annotations

from pydock_lab.spec.durations import in_words

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(count: float, *, precision: int = 3) -> str:
    """7654321 → `7.65MB` (powers of 1000)."""
    return _scaled(count, 1000.0, _DECIMAL, precision)


def binary_size(count: float) -> str:
    """1610612736 → `1.5GiB` (powers of 1024)."""
    return _scaled(count, 1024.0, _BINARY, 4)


def ago(seconds: float) -> str:
    """95 → `About a minute ago`."""
    return f"{in_words(seconds)} ago"


def local_time(epoch_s: float) -> str:
    """Seconds since the epoch as `2026-11-23 19:22:16 +0000 UTC`, in local time."""
    import datetime  # most commands show no time

    moment = datetime.datetime.fromtimestamp(int(epoch_s)).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S %z %Z}"


def _scaled(count: float, base: float, units: tuple[str, ...], precision: int) -> str:
    step = 0
    while count >= base and step < len(units) - 1:
        count /= base
        step += 1
    return f"{count:.{precision}g}{units[step]}"
