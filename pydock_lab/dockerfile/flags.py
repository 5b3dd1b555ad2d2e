"""The `--flags` of an instruction, checked against those it has. Source: BuildKit's bflag.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydock_lab.dockerfile.suggestion import closest
from pydock_lab.errors import DockerfileError

BOOL, STRING, STRINGS = "bool", "string", "strings"


@dataclass
class Flags:
    """The flags given, by name without dashes."""

    strings: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    bools: dict[str, bool] = field(default_factory=dict)

    def string(self, name: str) -> str:
        """Value of a string flag; empty where it is not given."""
        return self.strings.get(name, "")

    def all(self, name: str) -> tuple[str, ...]:
        """Values of a flag that may be repeated."""
        return tuple(self.lists.get(name, ()))

    def bool(self, name: str) -> bool:
        """Value of a bool flag."""
        return self.bools.get(name, False)


def read_flags(words: Sequence[str], known: Mapping[str, str]) -> Flags:
    """Read `--name[=value]` words; `known` gives each name's kind (BOOL, STRING, STRINGS)."""
    flags = Flags()
    seen: set[str] = set()
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        kind = known.get(name)
        if kind is None:
            raise DockerfileError(f"unknown flag: --{name}{closest(name, known)}")
        if name in seen and kind != STRINGS:
            raise DockerfileError(f"duplicate flag specified: --{name}")
        seen.add(name)
        if (kind == BOOL and equals and not value) or (kind != BOOL and not equals):
            raise DockerfileError(f"missing a value on flag: --{name}")
        if kind == BOOL:
            if value.lower() not in ("", "true", "false"):
                raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
            flags.bools[name] = value.lower() != "false"
        elif kind == STRING:
            flags.strings[name] = value
        else:
            flags.lists.setdefault(name, []).append(value)
    return flags
