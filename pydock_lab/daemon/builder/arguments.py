"""Build arguments: what `--build-arg`, ARG before FROM and ARG in a stage make of each other.

Source: the Dockerfile reference, "ARG", "Scope", "Predefined ARGs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydock_lab.dockerfile.instructions import Arg
from pydock_lab.dockerfile.variables import PREDEFINED


@dataclass
class BuildArguments:
    """The arguments of one build.

    Args:
        given: `--build-arg`; a value of None was named without one.
        platform: Values of TARGETPLATFORM and its kin: declared with ARG, set by the engine.
    """

    given: Mapping[str, str | None]
    platform: Mapping[str, str] = field(default_factory=dict)
    globals: dict[str, str] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def declare_global(self, instruction: Arg) -> None:
        """Take an ARG that stands before the first FROM."""
        for name, default in instruction.pairs:
            value = self._value(name, default)
            if value is not None:
                self.globals[name] = value

    @property
    def for_from(self) -> dict[str, str]:
        """What FROM may use."""
        return {**self.platform, **self.globals}

    def stage(self) -> StageArguments:
        """Begin a stage: nothing is declared yet."""
        return StageArguments(self)

    def unused(self) -> list[str]:
        """Names given and never declared, in order; Docker warns of them."""
        return [name for name in sorted(self.given) if name not in self._used and name not in PREDEFINED]

    def _value(self, name: str, default: str | None) -> str | None:
        self._used.add(name)
        given = self.given.get(name)
        return given if given is not None else default


@dataclass
class StageArguments:
    """The arguments in scope at one point of a stage."""

    build: BuildArguments
    values: dict[str, str] = field(default_factory=dict)

    def declare(self, instruction: Arg) -> None:
        """Take an ARG; without a default it has the value of the global one of the same name."""
        for name, default in instruction.pairs:
            if default is None:
                default = self.build.globals.get(name, self.build.platform.get(name))
            value = self.build._value(name, default)
            if value is not None:
                self.values[name] = value

    def scope(self, env: Mapping[str, str]) -> dict[str, str]:
        """What variables mean here: ENV always wins over ARG; the predefined ones need no ARG."""
        return {**self._predefined, **self.values, **env}

    def for_run(self, env: Mapping[str, str]) -> dict[str, str]:
        """What RUN's environment gets besides the image's own."""
        return {name: value for name, value in {**self._predefined, **self.values}.items() if name not in env}

    def in_key(self, env: Mapping[str, str]) -> dict[str, str]:
        """What of it counts for the cache and is shown in the history: declared arguments only."""
        return {name: value for name, value in self.values.items() if name not in env}

    @property
    def _predefined(self) -> dict[str, str]:
        return {name: value for name, value in self.build.given.items() if name in PREDEFINED and value is not None}
