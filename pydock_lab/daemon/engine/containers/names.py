"""Ids of containers, and names for those that were given none."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from pydock_lab.spec.made_up_names import ADJECTIVES, SURNAMES

_SHORT = 12


def fresh_id() -> str:
    """Return a random id; its short form is the host name, so it is never a number. Source: moby stringid."""
    while (found := secrets.token_hex(32))[:_SHORT].isdecimal():
        pass
    return found


def pick_name(is_free: Callable[[str], bool]) -> str:
    """Return a random name for which `is_free` holds."""
    for _ in range(6):
        name = f"{random.choice(ADJECTIVES)}_{random.choice(SURNAMES)}"
        if is_free(name):
            return name
    while True:
        numbered = f"{name}{random.randrange(10_000)}"
        if is_free(numbered):
            return numbered
