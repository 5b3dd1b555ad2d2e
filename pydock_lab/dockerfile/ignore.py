"""`.dockerignore`: which paths of a build context are left out.

Source: the Dockerfile reference, ".dockerignore file"; moby/patternmatcher.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.errors import InvalidParameter


@dataclass(frozen=True)
class Pattern:
    """One line of the file: `text` cleaned, without the `!`."""

    text: str
    excludes: bool
    regex: re.Pattern[str]


class Ignore:
    """An ordered list of patterns; the last one that matches decides."""

    def __init__(self, patterns: list[str]) -> None:
        """Compile the patterns. Raises InvalidParameter for a malformed one."""
        self.patterns: list[Pattern] = []
        for line in patterns:
            excludes = not line.startswith("!")
            text = line.removeprefix("!").strip()
            if not text:
                raise InvalidParameter('illegal exclusion pattern: "!"')
            text = posixpath.normpath(text).lstrip("/") or "."
            self.patterns.append(Pattern(text, excludes, compile_pattern(text)))
        self._has_exceptions = any(not pattern.excludes for pattern in self.patterns)

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """Read the text of a `.dockerignore`: comments, blank lines and a byte order mark go."""
        lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
        return cls([line for line in lines if line and not line.startswith("#")])

    def excludes(self, path: str) -> bool:
        """Tell whether a path (relative, slashes) is left out, itself or by a parent directory."""
        excluded = False
        for pattern in self.patterns:
            # A pattern can only change the answer in its own direction.
            if pattern.excludes != excluded and self._matches(pattern, path):
                excluded = pattern.excludes
        return excluded

    def prunes(self, directory: str) -> bool:
        """Tell whether nothing below an excluded directory can come back, so that it need not be read."""
        if not self.excludes(directory):
            return False
        return not self._has_exceptions or not any(
            _may_match_below(pattern.text, directory) for pattern in self.patterns if not pattern.excludes
        )

    def select(self, root: Path) -> Iterator[str]:
        """Yield the relative paths below `root` that stay, directories first, in order."""
        yield from self._select(root, "")

    def _select(self, root: Path, prefix: str) -> Iterator[str]:
        for entry in sorted((root / prefix).iterdir(), key=lambda item: item.name):
            path = f"{prefix}{entry.name}"
            is_directory = entry.is_dir() and not entry.is_symlink()
            kept = not self.excludes(path)
            if kept:
                yield path
            if is_directory and (kept or not self.prunes(path)):
                yield from self._select(root, f"{path}/")

    @staticmethod
    def _matches(pattern: Pattern, path: str) -> bool:
        if pattern.text == ".":
            return True
        while path:
            if pattern.regex.match(path):
                return True
            path = path.rpartition("/")[0]
        return False


def _may_match_below(text: str, directory: str) -> bool:
    """Whether a pattern may name something below a directory; errs on the side of yes."""
    wanted = text.split("/")
    for part in directory.split("/"):
        if not wanted:
            return True
        first = wanted.pop(0)
        if "**" in first:
            return True
        if not compile_pattern(first).match(part):
            return False
    return True


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a pattern (`*`, `?`, `**`, `[a-z]`, backslash escapes) for one whole path.

    Raises:
        InvalidParameter: a bracket is not closed or a backslash stands last.
    """
    out: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if not pattern.startswith("*", position):
                out.append("[^/]*")
                continue
            position += 1
            # `**/` also matches no directory at all; a final `**` matches everything below.
            if pattern.startswith("/", position):
                position += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            if position == len(pattern):
                raise InvalidParameter(f"syntax error in pattern {pattern!r}")
            out.append(re.escape(pattern[position]))
            position += 1
        elif char == "[":
            bracket, position = _bracket(pattern, position)
            out.append(bracket)
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error:
        raise InvalidParameter(f"syntax error in pattern {pattern!r}") from None


def _bracket(pattern: str, position: int) -> tuple[str, int]:
    """Translate a character class whose `[` was read; return it and the place after its `]`."""
    end = position + 1 if pattern[position : position + 1] == "^" else position
    items: list[str] = []
    while end < len(pattern) and (pattern[end] != "]" or not items):
        if pattern[end] == "\\":
            end += 1
        char = pattern[end : end + 1]
        items.append("-" if char == "-" and pattern[end - 1 : end] != "\\" else re.escape(char))
        end += 1
    if end >= len(pattern):
        raise InvalidParameter(f"syntax error in pattern {pattern!r}")
    negation = "^" if pattern[position] == "^" else ""
    return f"[{negation}{''.join(items)}]", end + 1
