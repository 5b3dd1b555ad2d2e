"""Names for containers that were given none."""

from __future__ import annotations

import random
from collections.abc import Callable

from pydock_lab.spec.made_up_names import ADJECTIVES, SURNAMES


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
