"""A Dockerfile's stages as a graph: which stage builds on which, and what a target needs.

Source: the Dockerfile reference, "Multi-stage builds".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydock_lab.dockerfile.expansion import Lexer
from pydock_lab.dockerfile.instructions import Arg, Copy, From, Instruction, Onbuild, Run
from pydock_lab.dockerfile.parser import Dockerfile, at_line, parse, parse_trigger
from pydock_lab.dockerfile.typed import instruction
from pydock_lab.errors import DockerfileError, InvalidParameter


@dataclass(frozen=True)
class Stage:
    """One FROM and what follows it.

    Attributes:
        index: Counts up from 0.
        base: The FROM instruction.
        instructions: What follows, without FROM.
        triggers: ONBUILD of its base image, as far as they are known; of a base that is a stage they always are.
    """

    index: int
    base: From
    instructions: tuple[Instruction, ...] = ()
    triggers: tuple[Instruction, ...] = ()

    @property
    def name(self) -> str:
        """The name given with AS, or ""."""
        return self.base.name

    @property
    def label(self) -> str:
        """The name, or the number where there is no name."""
        return self.name or str(self.index)


@dataclass(frozen=True)
class Program:
    """A Dockerfile ready to be built.

    Attributes:
        stages: In order.
        arguments: The ARG instructions before the first FROM.
        file: What was parsed.
    """

    stages: tuple[Stage, ...]
    arguments: tuple[Arg, ...]
    file: Dockerfile

    @property
    def escape(self) -> str:
        """The escape character."""
        return self.file.escape

    @property
    def warnings(self) -> tuple[str, ...]:
        """What BuildKit would warn of."""
        return self.file.warnings

    def find(self, name: str, *, before: int | None = None) -> Stage | None:
        """Find a stage by name or number among those before `before`; the last of a name wins."""
        candidates = self.stages[:before]
        for stage in reversed(candidates):
            if stage.name and stage.name == name.lower():
                return stage
        if name.isdecimal() and name.isascii() and int(name) < len(candidates):
            return candidates[int(name)]
        return None

    def base_of(self, stage: Stage, env: Mapping[str, str]) -> Stage | None:
        """Return the earlier stage that a stage is built on, or None where it is an image."""
        name = Lexer(self.escape).expand(stage.base.image, env).lower()
        earlier = reversed(self.stages[: stage.index])
        return next((candidate for candidate in earlier if name and candidate.name == name), None)

    def target(self, name: str = "") -> Stage:
        """Return the stage to be built: by name or number, the last one by default."""
        if not name:
            return self.stages[-1]
        stage = self.find(name)
        if stage is None:
            raise InvalidParameter(
                f"target stage {_quote(name)} could not be found",
                hint="the stages are: " + ", ".join(stage.label for stage in self.stages),
            )
        return stage

    def needs(self, stage: Stage, env: Mapping[str, str]) -> Iterator[tuple[Stage, Instruction]]:
        """Yield the stages that one stage reads from, each with the instruction that says so."""
        triggers = stage.triggers
        if (base := self.base_of(stage, env)) is not None:
            yield base, stage.base
            texts = [step.expression for step in base.instructions if isinstance(step, Onbuild)]
            triggers = read_triggers(texts, stage)
        for step in (*triggers, *stage.instructions):
            for name in sources_of(step):
                if (source := self.find(name)) is not None:
                    yield source, step

    def needed(self, target: Stage, env: Mapping[str, str]) -> list[Stage]:
        """Return the stages that must be built for a target, each after those that it needs, the target last.

        As they stand in the file, unless one reads from a later one.

        Args:
            target: A stage of this program.
            env: The values of the global ARGs.

        Raises:
            DockerfileError: two stages need each other.
        """
        order: list[Stage] = []
        open_stages: set[int] = set()
        as_written = True

        def visit(stage: Stage) -> None:
            nonlocal as_written
            if stage in order:
                return
            open_stages.add(stage.index)
            for source, step in self.needs(stage, env):
                if source.index in open_stages:
                    problem = DockerfileError(f"circular dependency detected on stage: {source.label}")
                    raise at_line(problem, step.start_line, step.text)
                as_written = as_written and source.index < stage.index
                visit(source)
            open_stages.discard(stage.index)
            order.append(stage)

        visit(target)
        return sorted(order, key=lambda stage: stage.index) if as_written else order


def read_program(source: str | bytes) -> Program:
    """Parse a Dockerfile into its stages.

    Raises:
        DockerfileError: with the line, in BuildKit's words.
    """
    file = parse(source)
    stages: list[Stage] = []
    arguments: list[Arg] = []
    current: list[Instruction] = []

    def close() -> None:
        if stages:
            stages[-1] = Stage(stages[-1].index, stages[-1].base, tuple(current))

    for node in file.nodes:
        step = instruction(node)
        if isinstance(step, From):
            close()
            current = []
            stages.append(Stage(len(stages), step))
        elif stages:
            current.append(step)
        elif isinstance(step, Arg):
            arguments.append(step)
        else:
            problem = DockerfileError("no build stage in current context", hint="a Dockerfile begins with FROM")
            raise at_line(problem, node.start_line, node.original)
    close()
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build")
    return Program(tuple(stages), tuple(arguments), file)


def read_triggers(texts: Sequence[str], stage: Stage) -> tuple[Instruction, ...]:
    """Read what ONBUILD left in a base image's config; it is carried out at the line of FROM."""
    return tuple(instruction(parse_trigger(text, stage.base.start_line)) for text in texts)


def sources_of(step: Instruction) -> list[str]:
    """Return the stages or images that one instruction reads from besides its own stage."""
    if isinstance(step, Copy) and step.source_image:
        return [step.source_image]
    if isinstance(step, Run):
        options = (option.partition("=") for mount in step.mounts for option in mount.split(","))
        return [value for key, _, value in options if key.lower() == "from" and value]
    return []


def _quote(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
