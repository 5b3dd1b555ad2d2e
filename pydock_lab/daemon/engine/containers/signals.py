"""Signals by name or number, as `docker kill -s` takes them."""

from __future__ import annotations

import signal

from pydock_lab.errors import InvalidParameter


def parse(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15`, `RTMIN+3`; of numbers any but 0, as Docker keeps them.

    Raises:
        InvalidParameter: `Invalid signal: …`.
    """
    if text.isdigit() and int(text):
        return int(text)
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    if sign and base in ("RTMIN", "RTMAX") and offset.isdigit():
        number = getattr(signal, f"SIG{base}") + (int(offset) if sign == "+" else -int(offset))
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return int(number)
    known = getattr(signal, f"SIG{name}", None)
    if not isinstance(known, signal.Signals):
        raise InvalidParameter(f"Invalid signal: {text}")
    return int(known)


def can_be_sent(number: int) -> bool:
    """Return whether Linux has the signal and leaves it to programs (glibc keeps the first two real-time ones)."""
    return 1 <= number <= signal.SIGSYS or signal.SIGRTMIN <= number <= signal.SIGRTMAX
