"""Docker's `filters` query: `{"label": ["a=b"], "status": ["exited"]}`, in its two spellings.

Used by every noun that can be listed, pruned or followed. Source: moby api/types/filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pydock_lab.errors import InvalidParameter


class Filters:
    """What a client filters by: key → values, any of which may match."""

    def __init__(self, values: dict[str, list[str]] | None = None) -> None:
        self._values = values or {}

    @classmethod
    def parse(cls, text: str | None) -> Filters:
        """Read the query argument; clients before 1.22 and the CLI write values as `{"a=b": true}`.

        Raises:
            InvalidParameter: it is not such a document.
        """
        if not text:
            return cls()
        try:
            document = msgspec.json.decode(text, type=dict[str, dict[str, bool] | list[str]])
        except msgspec.DecodeError:
            raise InvalidParameter("invalid filter") from None
        return cls(
            {
                key: values if isinstance(values, list) else [value for value, on in values.items() if on]
                for key, values in document.items()
            }
        )

    def __contains__(self, key: str) -> bool:
        return bool(self._values.get(key))

    def values(self, key: str) -> list[str]:
        """Return the values of a key, none if it is not there."""
        return self._values.get(key, [])

    def check(self, known: Iterable[str]) -> None:
        """Refuse keys that the request does not have. Raises InvalidParameter."""
        for key in self._values:
            if key not in known:
                raise InvalidParameter(f"invalid filter '{key}'")

    def any(self, key: str, matches: Callable[[str], bool]) -> bool:
        """Return whether the key is absent or one of its values matches."""
        values = self._values.get(key)
        return not values or any(matches(value) for value in values)

    def flag(self, key: str, default: bool) -> bool:
        """Return a key that is true or false. Raises InvalidParameter."""
        values = self.values(key)
        if not values:
            return default
        if len(values) > 1 or values[0].lower() not in ("1", "true", "0", "false"):
            raise InvalidParameter(f"invalid filter '{key}=[{' '.join(values)}]'")
        return values[0].lower() in ("1", "true")

    def labels(self, there: dict[str, str]) -> bool:
        """Return whether all `label` values hold and no `label!` value does."""
        return all(has_label(there, value) for value in self.values("label")) and not any(
            has_label(there, value) for value in self.values("label!")
        )


def has_label(there: dict[str, str], wanted: str) -> bool:
    """Return whether labels hold `key` or `key=value`."""
    key, equals, value = wanted.partition("=")
    return key in there and (not equals or there[key] == value)
