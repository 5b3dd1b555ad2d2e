"""Random ids, as Docker makes them. Source: moby pkg/stringid."""

from __future__ import annotations

import secrets

SHORT = 12


def fresh_id(digits: int = 64) -> str:
    """Return a random hexadecimal id; its short form, a host name or a word in a sentence, is never a number.

    Args:
        digits: How long it is, an even number.
    """
    while (found := secrets.token_hex(digits // 2))[:SHORT].isdecimal():
        pass
    return found
