r"""Detach key sequences: `ctrl-p,ctrl-q`, `ctrl-\\`, `a,b`. Source: moby/term ascii.go."""

from __future__ import annotations

from pydock_lab.errors import InvalidParameter

DEFAULT = b"\x10\x11"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes that detach a client; Docker's own for "".

    Raises:
        InvalidParameter: an unknown key.
    """
    if not text:
        return DEFAULT
    keys = bytearray()
    for key in text.split(","):
        if len(key) == 1 and ord(key) < 128:
            keys.append(ord(key))
            continue
        name = key.lower().removeprefix("ctrl-")
        if key.lower().startswith("ctrl-") and len(name) == 1:
            if "a" <= name <= "z":
                keys.append(ord(name) - ord("a") + 1)
                continue
            if name in _CONTROL:
                keys.append(_CONTROL[name])
                continue
        raise InvalidParameter(f"Invalid detach keys ({text}) provided: Unknown character: '{key}'")
    return bytes(keys)
