"""What an engine or a kernel numbers as it comes, shown by its place in the order of first sight.

Plain text counts for itself: an id that only HTML shows has a number of another series, so that the plain
text of an output does not depend on what the HTML of an earlier one happened to tell.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

Typed = Callable[[str], bool]
"""Whether somebody wrote this text in a cell: then it was chosen, and stays."""

_FIRST_OF_POOL, _LAST_OF_POOL = 17, 31  # 172.17.0.0/16 … 172.31.0.0/16, the pools of Docker's bridge networks
_KEY = 8  # digits that tell ids apart: a bridge is named by so many


class Numbered:
    """Things of one kind.

    Args:
        form: Writes the thing that was seen as number n (from 0).
        aside: The same for what only HTML has shown.
    """

    def __init__(self, form: Callable[[int], str], aside: Callable[[int], str] | None = None) -> None:
        self._form, self._aside = form, aside or form
        self._plain: dict[str, str] = {}
        self._html: dict[str, str] = {}
        self._fixed: dict[str, str] = {}

    def take_over(self, other: Numbered) -> None:
        """Know what another knows."""
        self._plain, self._html, self._fixed = dict(other._plain), dict(other._html), dict(other._fixed)

    def show(self, found: str, form: str) -> None:
        """Show a thing in a form that doesn't depend on when it was seen; it takes no number."""
        self._fixed[found] = form

    def of(self, found: str, *, html: bool = False) -> str:
        """Return what to show for a thing, the same each time."""
        if found in self._fixed:
            return self._fixed[found]
        if found in self._plain:
            return self._plain[found]
        if html:
            return self._html.setdefault(found, self._aside(len(self._html)))
        return self._plain.setdefault(found, self._form(len(self._plain)))


class Ids(Numbered):
    """Ids, known by their first digits: the short form of one is the beginning of its long form.

    Args:
        seed: What the ids shown are made from.
    """

    def __init__(self, seed: str) -> None:
        def digest(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        super().__init__(lambda n: digest(f"{seed}:{n}"), lambda n: digest(f"{seed}:html:{n}"))

    def of(self, found: str, *, html: bool = False) -> str:
        """Return an id of the same length."""
        return super().of(found[:_KEY], html=html)[: len(found)]

    def place(self, found: str) -> int:
        """Return which of them plain text has shown first, from 1; the unknown come last."""
        known = list(self._plain)
        return known.index(found[:_KEY]) + 1 if found[:_KEY] in known else len(known) + 1


class Addresses:
    """IPv4 addresses of bridge networks, which get what is free on their machine; and the MAC addresses made of them.

    A network is shown as one of 172.17.0.0/16 … 172.31.0.0/16, the first that Docker takes, also where it had to
    be one of 192.168.0.0/20 … 192.168.240.0/20, the next.

    Args:
        typed: Tells what somebody chose.
    """

    _ADDRESS = re.compile(r"(?<![\w.])(172\.(?:1[6-9]|2\d|3[01])|192\.168)\.(\d{1,3})\.(\d{1,3})(/20)?(?![\w.]*\d)")
    _LINK = re.compile(r"(?<=02:42:)(ac:1[0-9a-f]|c0:a8):([0-9a-f]{2}):([0-9a-f]{2})(?![\w:])")

    def __init__(self, typed: Typed) -> None:
        self._typed = typed
        self._shown = Numbered(lambda n: self._free(n, 1), lambda n: self._free(n, -1))

    def take_over(self, other: Addresses) -> None:
        """Know what another knows."""
        self._shown.take_over(other._shown)

    def text(self, text: str, *, html: bool = False) -> str:
        """Renumber the networks of all addresses in a text."""

        def address(match: re.Match[str]) -> str:
            if self._typed(f"{match[1]}."):
                return match[0]
            network, third, fourth = self._place(match[1], int(match[2]), int(match[3]))
            prefix = "/16" if match[4] and match[1] == "192.168" else match[4] or ""
            return f"172.{self._shown.of(network, html=html)}.{third}.{fourth}{prefix}"

        def link(match: re.Match[str]) -> str:
            first, second = (int(part, 16) for part in match[1].split(":"))
            if self._typed(f"{first}.{second}."):
                return match[0]
            network, third, fourth = self._place(f"{first}.{second}", int(match[2], 16), int(match[3], 16))
            return f"ac:{int(self._shown.of(network, html=html)):02x}:{third:02x}:{fourth:02x}"

        return self._LINK.sub(link, self._ADDRESS.sub(address, text))

    @staticmethod
    def _place(network: str, third: int, fourth: int) -> tuple[str, int, int]:
        """Which network an address belongs to, and its last two numbers in a network that has both to itself."""
        if network != "192.168":
            return network, third, fourth
        inside = (third % 16, fourth)
        return f"{network}.{third // 16}", *((255, 255) if inside == (15, 255) else inside)

    def _free(self, number: int, step: int) -> str:
        """The second number of the n-th network that nobody chose: up from 172.17, HTML's own down from 172.31."""
        order = range(_FIRST_OF_POOL, _LAST_OF_POOL + 1)[::step]
        free = [str(second) for second in order if not self._typed(f"172.{second}.")]
        return free[number % len(free)] if free else str(_FIRST_OF_POOL)
