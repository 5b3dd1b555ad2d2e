"""One build: reads the context and the Dockerfile, builds the stages that the target needs.

Independent stages are built at the same time; what one reads of another it
waits for. The steps of a stage are in stage.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from pydock_lab.daemon.builder.arguments import BuildArguments
from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.draft import ARCHITECTURES, Draft
from pydock_lab.daemon.builder.imagecache import ImageCache
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.output import Message, Output
from pydock_lab.daemon.builder.record import BuildRecord
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.builder.stage import EPOCH, Job, StageBuild
from pydock_lab.daemon.builder.supply import Supply
from pydock_lab.daemon.builder.trees import IMAGE_CONTEXT, Trees
from pydock_lab.daemon.builder.turns import Turn, Turns
from pydock_lab.daemon.builder.workshop import Workshop
from pydock_lab.daemon.store.images import Image
from pydock_lab.dockerfile.instructions import Arg, From, Instruction, Label
from pydock_lab.dockerfile.lint import Finding, check_program
from pydock_lab.dockerfile.stages import Program, Stage, read_program, read_triggers
from pydock_lab.dockerfile.substitution import substitute
from pydock_lab.errors import DockerfileError, InvalidParameter, LabError
from pydock_lab.spec.platform import Platform

SCRATCH = "scratch"


class Build:
    """One run of the builder.

    Args:
        workshop: The daemon's rooms.
        options: What was asked for.
        record: Takes down what happens.
        output: Says what happens.
        scratch: An existing directory on the layers' file system, of this build alone.
        supply: Where the Dockerfile and the context come from.
    """

    def __init__(
        self,
        workshop: Workshop,
        options: BuildOptions,
        record: BuildRecord,
        output: Output,
        scratch: Path,
        supply: Supply,
    ) -> None:
        self._supply = supply
        self._shop = workshop
        self._options = options
        self._record = record
        self._output = output
        self._scratch = scratch
        self._arguments = BuildArguments(options.build_args, _platform_arguments())
        self._built: dict[int, asyncio.Future[Draft]] = {}
        self._program: Program
        self._context: BuildContext
        self._tree: SourceTree

    @property
    def holder(self) -> str:
        """The name under which layers are kept while no image holds them yet."""
        return f"build:{self._record.id}"

    async def run(self) -> str:
        """Build; return the image's id.

        Raises:
            LabError: in Docker's words; StepFailedError for a command that failed.
        """
        await self._read()
        needed = await self._needed()
        target = needed[-1]
        self._record.plan(self._program, needed, self._arguments.for_from)
        self._context = await self._supply.context(needed)
        self._tree = self._context.tree()
        labels = [
            Label(pairs=((name, value),), text=f"LABEL {name}={value}", start_line=target.base.start_line)
            for name, value in sorted(self._options.labels.items())
        ]
        self._output.warn(self._program.warnings)
        before = len(self._program.arguments)
        total = before + sum(1 + len(stage.instructions) for stage in needed) + len(labels)
        for number, argument in enumerate(self._program.arguments, 1):
            self._output.step(number, total, argument.text)
            lines = (argument.start_line, argument.end_line)
            self._record.begin(number, None, argument.keyword, argument.text, lines).end("done")
        await self._build(needed, target, labels, self._job(total), before)
        image_id = self._built[target.index].result().parent
        if not image_id:
            raise InvalidParameter("No image was generated. Is your Dockerfile empty?")
        if unused := self._arguments.unused():
            self._output.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        return image_id

    async def _needed(self) -> list[Stage]:
        """Return the stages to be built, the target last: also those that only a base image's ONBUILD reads from."""
        scope = self._arguments.for_from
        known: set[int] = set()
        while True:
            program = self._program
            needed = program.needed(program.target(self._options.target), scope)
            new = [stage for stage in needed if stage.index not in known and program.base_of(stage, scope) is None]
            if len(needed) == len(program.stages) or not new:
                return needed
            stages = list(program.stages)
            for stage in new:
                known.add(stage.index)
                name, platform = self._base_name(stage)
                if name != SCRATCH:
                    image = await self._image(name, platform, self._output)
                    triggers = (image.config.get("config") or {}).get("OnBuild") or []
                    stages[stage.index] = replace(stage, triggers=read_triggers(triggers, stage))
            self._program = replace(program, stages=tuple(stages))

    async def _read(self) -> None:
        """Read the Dockerfile."""
        source, ignore = await self._supply.dockerfile()
        self._record.document["dockerfile"] = source.decode(errors="replace")
        self._program = read_program(source)
        findings = check_program(self._program, ignore)
        self._record.document["checks"] = [finding.document for finding in findings]
        for argument in self._program.arguments:
            expanded = substitute(argument, self._arguments.for_from, self._program.escape)
            assert isinstance(expanded, Arg)
            self._arguments.declare_global(expanded)

    def _job(self, total: int) -> Job:
        options = self._options
        epoch = options.build_args.get(EPOCH) or ""
        if epoch and not epoch.isdecimal():
            raise InvalidParameter(f"invalid {EPOCH}: {epoch}")
        return Job(
            shop=self._shop,
            options=options,
            record=self._record,
            arguments=self._arguments,
            scratch=self._scratch,
            escape=self._program.escape,
            epoch=epoch,
            holder=self.holder,
            image_cache=ImageCache(self._shop.images, options.cache_from) if options.cache_from else None,
            supply=self._supply,
            total=total,
        )

    async def _build(self, needed: list[Stage], target: Stage, labels: list[Label], job: Job, number: int) -> None:
        """Build all stages, each in a task of its own; the first failure ends the others."""
        loop = asyncio.get_running_loop()
        self._built = {stage.index: loop.create_future() for stage in needed}
        turns = Turns(self._output.send, self._output.room)
        tasks: list[tuple[asyncio.Task[None], Turn]] = []
        for stage in needed:
            turn = turns.join()
            work = self._stage(stage, turn, job, number, labels if stage.index == target.index else [])
            tasks.append((asyncio.create_task(self._follow(work, stage, turns, turn)), turn))
            number += 1 + len(stage.instructions)
        try:
            await asyncio.wait([task for task, _ in tasks], return_when=asyncio.FIRST_EXCEPTION)
            for task, turn in tasks:
                if task.done() and task.exception() is not None:
                    turn.begin()  # what led to the failure is said, whoever's turn it was
                    task.result()
        finally:
            for task, _ in tasks:
                task.cancel()
            await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)

    async def _follow(self, work: StageBuild, stage: Stage, turns: Turns, turn: Turn) -> None:
        draft = await work.run()
        self._built[stage.index].set_result(draft)
        turns.end(turn)

    def _stage(self, stage: Stage, turn: Turn, job: Job, number: int, labels: list[Label]) -> StageBuild:
        output = self._output.through(turn.send, turn.room)

        async def image(name: str, platform: str = "") -> Image:
            return await self._image(name, platform, output)

        async def wait_for(other: Stage) -> Draft:
            with work.waiting():
                return await asyncio.shield(self._built[other.index])

        trees = Trees(
            program=self._program,
            context=self._context,
            contexts=self._options.contexts,
            scratch=self._scratch,
            layers=self._shop.layers,
            memo=self._shop.memo,
            built=wait_for,
            image=image,
            rootless=self._shop.config.rootless,
        )

        async def base() -> Draft:
            return await self._base(stage, image, wait_for)

        async def find_tree(name: str) -> SourceTree:
            return await trees.find(name, stage) if name else self._tree

        own: list[Instruction] = [*labels]
        work = StageBuild(job, stage, output, number=number, labels=own, base=base, find_tree=find_tree)
        return work

    async def _image(self, name: str, platform: str, output: Output) -> Image:
        """Find an image, or pull it."""
        options, watcher = self._options, self._record.watcher

        def progress(message: Message) -> None:
            output.send(message)
            watcher.pulling(name, message)

        watcher.resolving(name)
        try:
            image = await self._shop.resolve_or_pull(
                name,
                pull=options.pull,
                auth=options.registry_auth | await self._supply.credentials(name),
                progress=progress,
                platform=platform or options.platform or None,
            )
        except LabError as error:
            watcher.resolved(name, error)
            raise
        watcher.resolved(name, None)
        return image

    def _base_name(self, stage: Stage) -> tuple[str, str]:
        """Return the image that a stage is built on, and its platform or ""."""
        expanded = substitute(stage.base, self._arguments.for_from, self._program.escape)
        assert isinstance(expanded, From)
        name = expanded.image
        if not name:
            raise DockerfileError(f"base name ({stage.base.image}) should not be blank", line=stage.base.start_line)
        return self._options.contexts.get(name, name).removeprefix(IMAGE_CONTEXT), _platform(expanded.platform)

    async def _base(
        self,
        stage: Stage,
        image: Callable[[str, str], Awaitable[Image]],
        wait_for: Callable[[Stage], Awaitable[Draft]],
    ) -> Draft:
        """Return what a stage begins with."""
        scope = self._arguments.for_from
        earlier = self._program.base_of(stage, scope)
        if earlier is not None and earlier.name not in self._options.contexts:
            source = await wait_for(earlier)
            if not source.parent:
                return Draft.scratch()
            return _draft_on(self._shop.images.get(source.parent))
        name, platform = self._base_name(stage)
        if name == SCRATCH:
            return Draft.scratch()
        found = await image(name, platform)
        self._check_platform(stage.base, name, found, platform or self._options.platform)
        return _draft_on(found)

    def _check_platform(self, base: From, name: str, image: Image, wanted: str) -> None:
        """Note, as the one build check that needs the image, that a base is not for the platform that was asked for."""
        actual = Platform.of(image.config)
        if wanted and Platform.parse(wanted).rank(actual) is None:
            detail = f'Base image {name} was pulled with platform "{actual}", expected "{wanted}" for current build'
            finding = Finding("InvalidBaseImagePlatform", detail, base.start_line, base.end_line)
            self._record.document["checks"].append(finding.document)


def _platform(text: str) -> str:
    """Return what FROM's --platform says as `os/arch[/variant]`, "" for nothing."""
    try:
        return str(Platform.parse(text)) if text else ""
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to parse platform {text}: {error.message}") from None


def _draft_on(image: Image) -> Draft:
    return Draft.on(image.config, image.id, image.chain_id)


def _platform_arguments() -> dict[str, str]:
    """ARGs that have a value without --build-arg once they are declared."""
    import platform

    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine, machine)
    values: dict[str, str] = {}
    for prefix in ("TARGET", "BUILD"):
        values |= {
            f"{prefix}PLATFORM": f"linux/{architecture}",
            f"{prefix}OS": "linux",
            f"{prefix}ARCH": architecture,
            f"{prefix}VARIANT": "",
        }
    return values
