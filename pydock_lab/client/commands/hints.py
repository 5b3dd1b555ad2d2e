"""One line of hint for a real error, by rule: the message first, then why and what works."""

from __future__ import annotations

from collections.abc import Sequence


def hint_for(message: str, argv: Sequence[str]) -> str | None:
    """Return a hint for an error message, or None."""
    return None
