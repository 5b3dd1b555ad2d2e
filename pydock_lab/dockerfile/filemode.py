"""File modes as `--chmod` takes them: octal (`755`) or symbolic (`u=rwX,go=rX`, `+x`, `g=u`).

Source: the Dockerfile reference, "COPY --chmod"; chmod(1), "The mode operands", without an umask.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydock_lab.errors import InvalidParameter

_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"u": 0o4000, "g": 0o2000, "o": 0o1000}
_OCTAL = re.compile(r"[0-7]+")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")


@dataclass(frozen=True)
class FileMode:
    """What becomes of a file's permissions.

    Attributes:
        octal: The permissions whatever they were, or None.
        clauses: Else (who, [(operator, permissions)]) in order.
    """

    octal: int | None
    clauses: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> FileMode:
        """Read a mode. Raises InvalidParameter, in BuildKit's words."""
        if _OCTAL.fullmatch(text) and int(text, 8) <= 0o7777:
            return cls(int(text, 8))
        matches = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
        clauses = [
            (match[1].replace("a", "ugo") or "ugo", tuple(_ACTION.findall(match[2]))) for match in matches if match
        ]
        if len(clauses) < len(matches):
            raise InvalidParameter(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
                hint="or symbolic, as chmod takes it: u=rwX,go=rX",
            )
        return cls(None, tuple(clauses))

    def apply(self, mode: int, *, is_directory: bool = False) -> int:
        """Return the permission bits that a file with the bits `mode` gets."""
        if self.octal is not None:
            return self.octal
        for who, actions in self.clauses:
            for operator, permissions in actions:
                bits = _bits(who, permissions, mode, is_directory=is_directory)
                if operator == "-":
                    mode &= ~bits
                    continue
                if operator == "=":
                    mode &= ~sum(7 << _SHIFTS[one] | _SPECIAL[one] for one in set(who))
                mode |= bits
        return mode


def _bits(who: str, permissions: str, mode: int, *, is_directory: bool) -> int:
    """The bits that a set of permissions is for some users."""
    if permissions in _SHIFTS:
        value = mode >> _SHIFTS[permissions] & 7
    else:
        value = sum(_BITS[one] for one in set(permissions) if one in _BITS)
        if "X" in permissions and (is_directory or mode & 0o111):
            value |= 1
    bits = 0
    for one in set(who):
        bits |= value << _SHIFTS[one]
        if ("s" in permissions and one in "ug") or ("t" in permissions and one == "o"):
            bits |= _SPECIAL[one]
    return bits
