"""Which variables a word uses, and which are there without being declared."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
PREDEFINED = frozenset((*_PROXIES, *(name.upper() for name in _PROXIES)))
"""Usable in RUN without an ARG, and then kept out of history and cache."""

PLATFORM_ARGUMENTS = tuple(
    f"{side}{part}" for side in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""Usable in FROM without an ARG."""


def used_variables(word: str, escape: str = "\\") -> Iterator[tuple[str, bool]]:
    """Yield (name, whether it does without a value) for every `$NAME` and `${NAME…}` outside single quotes."""
    text = re.sub(rf"{re.escape(escape)}.", "", word)
    text = re.sub(r"'[^']*'", "", text)
    for match in re.finditer(r"\$(?:(\w+)|\{(\w+)(:?[-+?])?)", text):
        name = match[1] or match[2]
        if not name[0].isdigit():
            yield name, bool(match[3])
