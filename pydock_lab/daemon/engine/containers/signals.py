"""Signals by name or number, as `docker kill -s` takes them."""

from __future__ import annotations

import signal

from pydock_lab.errors import InvalidParameter


def parse(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15`, `RTMIN+3`.

    Raises:
        InvalidParameter: `Invalid signal: …`.
    """
    if text.isdigit():
        number = int(text)
        if not 1 <= number <= signal.SIGRTMAX:
            raise InvalidParameter(f"Invalid signal: {text}")
        return number
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
