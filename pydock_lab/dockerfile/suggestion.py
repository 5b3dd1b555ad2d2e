"""`(did you mean RUN?)`: the known word nearest to an unknown one. Source: BuildKit's util/suggest."""

from __future__ import annotations

from collections.abc import Iterable

_FARTHEST = 2


def closest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean WORD?)` for the nearest known word, or "" where none is near."""
    lowered = word.lower()
    # Among words equally far, one with the same letters (a transposition) is likelier: RNU is RUN, not ENV.
    ranked = sorted(
        (_distance(lowered, option.lower()), sorted(option.lower()) != sorted(lowered), option) for option in known
    )
    if not ranked or not 0 < ranked[0][0] <= _FARTHEST:
        return ""
    option = ranked[0][2]
    return f" (did you mean {option.lower() if word == lowered else option}?)"


def _distance(left: str, right: str) -> int:
    """Levenshtein's distance, no more exactly than needed: words of very different length are far."""
    if abs(len(left) - len(right)) > _FARTHEST:
        return _FARTHEST + 1
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
