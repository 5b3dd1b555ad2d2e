"""One build: the stages that the target needs, step by step, to an image.

Every step lives the same life: prepare → hit, or execute → commit. What it says
goes to `output` in Docker's words, what it knows to `record` as data.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.arguments import BuildArguments
from pydock_lab.daemon.builder.cache import BuildCache, Hit, Miss
from pydock_lab.daemon.builder.container import StepContainer
from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.copying import clamp_times
from pydock_lab.daemon.builder.draft import ARCHITECTURES, Draft
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.output import Output, RunOutput
from pydock_lab.daemon.builder.plan import Planner, Prepared
from pydock_lab.daemon.builder.record import BuildRecord
from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import Layer, LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.dockerfile.instructions import Arg, Instruction, Label
from pydock_lab.dockerfile.parser import parse_trigger
from pydock_lab.dockerfile.stages import Program, Stage, read_program
from pydock_lab.dockerfile.substitution import substitute
from pydock_lab.dockerfile.typed import instruction as typed
from pydock_lab.errors import DockerfileError, InvalidParameter, LabError, NotFound, SystemFailure

SCRATCH = "scratch"
_EPOCH = "SOURCE_DATE_EPOCH"

Resolve = Callable[..., Awaitable[Image]]


class StepFailedError(LabError):
    """A RUN command ended with a status other than 0."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Workshop:
    """What every build of one daemon works with."""

    config: DaemonConfig
    runtime: Runtime
    layers: LayerStore
    images: ImageStore
    networks: Networks
    resolve_or_pull: Resolve
    cache: BuildCache
    trace: Trace


class Build:
    """One run of the builder.

    Args:
        workshop: The daemon's rooms.
        options: What was asked for.
        record: Takes down what happens.
        output: Says what happens.
        scratch: An existing directory on the layers' file system, of this build alone.
    """

    def __init__(
        self, workshop: Workshop, options: BuildOptions, record: BuildRecord, output: Output, scratch: Path
    ) -> None:
        self._shop = workshop
        self._options = options
        self._record = record
        self._output = output
        self._scratch = scratch
        self._arguments = BuildArguments(options.build_args, _platform_arguments())
        self._number = self._total = 0
        self._stages: dict[int, Draft] = {}
        self._reuse = not options.no_cache
        self._program: Program
        self._context: SourceTree

    @property
    def holder(self) -> str:
        """The name under which layers are kept while no image holds them yet."""
        return f"build:{self._record.id}"

    async def run(self, tar: Path) -> str:
        """Build; return the image's id.

        Args:
            tar: The context as it came, compressed or not.

        Raises:
            LabError: in Docker's words; StepFailedError for a command that failed.
        """
        await self._read(tar)
        target = self._program.target(self._options.target)
        needed = self._program.needed(target, self._arguments.for_from)
        self._record.plan(self._program, needed, self._arguments.for_from)
        labels = [
            Label(pairs=((name, value),), text=f"LABEL {name}={value}", start_line=target.base.start_line)
            for name, value in sorted(self._options.labels.items())
        ]
        self._total = len(self._program.arguments) + sum(1 + len(stage.instructions) for stage in needed) + len(labels)
        for argument in self._program.arguments:
            self._begin(argument, None)
            self._record.end("done")
        for stage in needed:
            await self._build_stage(stage, labels if stage is target else [])
        image_id = self._stages[target.index].parent
        if not image_id:
            raise InvalidParameter("No image was generated. Is your Dockerfile empty?")
        if unused := self._arguments.unused():
            self._output.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        return image_id

    async def _read(self, tar: Path) -> None:
        """Unpack the context, read the Dockerfile."""
        root = self._scratch / "context"
        rootless = self._shop.config.rootless
        context = await finished(asyncio.to_thread(BuildContext.from_tar, tar, root, rootless=rootless))
        source = context.read_dockerfile(self._options)
        self._record.document["dockerfile"] = source.decode(errors="replace")
        self._program = read_program(source)
        self._context = SourceTree(Rootfs([root]), is_context=True)
        for argument in self._program.arguments:
            expanded = substitute(argument, self._arguments.for_from, self._program.escape)
            assert isinstance(expanded, Arg)
            self._arguments.declare_global(expanded)

    async def _build_stage(self, stage: Stage, labels: list[Label]) -> None:
        self._begin(stage.base, stage)
        draft = await self._base(stage)
        base = draft.parent
        self._record.note(image=base)
        self._record.end("done")
        self._stages[stage.index] = draft
        self._reuse = not self._options.no_cache
        planner = Planner(
            options=self._options,
            draft=draft,
            arguments=self._arguments.stage(),
            context=self._context,
            find_tree=lambda name: self._tree(name, stage),
            rootless=self._shop.config.rootless,
            constants={_EPOCH: self._epoch} if self._epoch else {},
        )
        if draft.triggers:
            count = len(draft.triggers)
            self._output.say(f"# Executing {count} build trigger{'s' if count > 1 else ''}")
            self._output.say("\n")
        for trigger in draft.triggers:
            instruction = typed(parse_trigger(trigger, stage.base.start_line))
            self._record.begin(self._number, stage.index, instruction.keyword, trigger, (stage.base.start_line,) * 2)
            await self._step(instruction, planner, first=draft.parent == base)
        self._output.result(draft.parent)
        for number, instruction in enumerate((*stage.instructions, *labels)):
            self._begin(instruction, stage)
            await self._step(instruction, planner, first=number == 0)
            self._output.result(draft.parent)
        if draft.parent:
            self._output.image(draft.parent)
            self._record.document["stages"][stage.index]["image"] = draft.parent

    def _begin(self, instruction: Instruction, stage: Stage | None) -> None:
        self._number += 1
        self._output.step(self._number, self._total, instruction.text)
        lines = (instruction.start_line, instruction.end_line)
        index = None if stage is None else stage.index
        self._record.begin(self._number, index, instruction.keyword, instruction.text, lines)

    async def _base(self, stage: Stage) -> Draft:
        """Return what a stage begins with."""
        scope = self._arguments.for_from
        earlier = self._program.base_of(stage, scope)
        if earlier is not None:
            source = self._stages[earlier.index]
            if not source.parent:
                return Draft.scratch()
            return _draft_on(self._shop.images.get(source.parent))
        expanded = substitute(stage.base, scope, self._program.escape)
        name = str(getattr(expanded, "image", ""))
        if not name:
            raise DockerfileError(f"base name ({stage.base.image}) should not be blank", line=stage.base.start_line)
        if name == SCRATCH:
            return Draft.scratch()
        return _draft_on(await self._image(name))

    async def _image(self, name: str) -> Image:
        return await self._shop.resolve_or_pull(
            name, pull=self._options.pull, auth=self._options.registry_auth, progress=self._output.send
        )

    async def _tree(self, name: str, stage: Stage) -> SourceTree:
        """Return the files behind `--from`: an earlier stage's or an image's."""
        source = self._program.find(name)
        if source is None and name.isdigit():
            raise InvalidParameter(f"invalid from flag value {name}: index out of bounds")
        if source is not None and source.index != stage.index and source.index in self._stages:
            chain_id = self._stages[source.index].chain_id
        else:
            try:
                chain_id = (await self._image(name)).chain_id
            except LabError as error:
                raise type(error)(f"invalid from flag value {name}: {error.message}", hint=error.hint) from None
        lowers = self._shop.layers.lower_paths(chain_id)
        if not lowers:
            empty = self._scratch / "empty"
            empty.mkdir(exist_ok=True)
            lowers = [empty]
        return SourceTree(Rootfs(lowers, rootless=self._shop.config.rootless), is_context=False)

    async def _step(self, instruction: Instruction, planner: Planner, *, first: bool) -> None:
        """Prepare one step, then take it from the cache or make it."""
        draft = planner.draft
        expanded = substitute(instruction, planner.arguments.scope(draft.env), self._program.escape)
        if isinstance(expanded, Arg):
            planner.arguments.declare(expanded)
        prepared = await planner.prepare(expanded)
        image = self._look_up(prepared, first=first)
        state = "done"
        if image is not None:
            draft.take_over(image.config, image.id, image.chain_id)
            self._output.cached()
            state = "cached"
        else:
            image = await self._make(prepared, draft)
        self._record.note(image=image.id)
        self._record.end(state)

    def _look_up(self, prepared: Prepared, *, first: bool) -> Image | None:
        """Return the image of a step that was built before; note why or why not."""
        cache, trace = self._shop.cache, self._shop.trace
        number = self._record.steps[-1]["number"]
        if not self._reuse:
            miss = Miss("no-cache", "the cache was not asked (--no-cache)")
        elif (hit := cache.find(prepared.inputs)) is not None:
            image = self._image_of(hit)
            if image is not None:
                origin = {"build": hit.build, "step": hit.step, "image": hit.image_id}
                self._record.note(cache={"hit": True, "key": hit.key, "from": origin})
                trace.emit("builder", "cache.hit", self._record.id, step=number, key=hit.key, origin=origin)
                return image
            miss = Miss("image", "the image of the cached step has been removed")
        else:
            miss = cache.explain(prepared.inputs, first=first)
        reason = {"field": miss.field, "text": miss.text, "changes": list(miss.changes)}
        self._record.note(cache={"hit": False, "key": prepared.inputs.key(), "reason": reason})
        trace.emit("builder", "cache.missed", self._record.id, step=number, reason=reason)
        return None

    def _image_of(self, hit: Hit) -> Image | None:
        try:
            return self._shop.images.get(hit.image_id)
        except NotFound:
            self._shop.cache.forget(hit.key)
            return None

    async def _make(self, prepared: Prepared, draft: Draft) -> Image:
        """Execute a step and commit it."""
        started = time.monotonic_ns()
        upper: Path | None = None
        if prepared.run is not None or prepared.write is not None:
            upper = await self._execute(prepared, draft)
        else:
            self._pretend_container()
        layer = await self._commit_layer(upper, draft.chain_id)
        raw = draft.committed(self._created(), prepared.created_by, diff_id=None if layer is None else layer.diff_id)
        image = self._shop.images.put(raw, parent=draft.parent)
        key = self._shop.cache.add(prepared.inputs, image.id, self._record.id, self._record.steps[-1]["number"])
        draft.parent = image.id
        if layer is not None:
            draft.chain_id = layer.chain_id
        self._shop.trace.emit(
            "builder",
            "step.committed",
            self._record.id,
            step=self._record.steps[-1]["number"],
            image=image.id,
            key=key,
            layer="" if layer is None else layer.diff_id,
            duration_ns=time.monotonic_ns() - started,
        )
        return image

    async def _execute(self, prepared: Prepared, draft: Draft) -> Path:
        """Make the files of a step; return the directory that holds its changes."""
        scratch = self._scratch / f"step-{len(self._record.steps)}"
        scratch.mkdir()
        lowers = self._shop.layers.lower_paths(draft.chain_id)
        if prepared.run is not None:
            return await self._run_container(prepared, scratch, lowers)
        upper = scratch / "upper"
        upper.mkdir(mode=0o755)
        write = prepared.write
        assert write is not None
        target = WritableRootfs(upper, lowers, rootless=self._shop.config.rootless)
        if prepared.inputs.keyword == "WORKDIR":
            self._pretend_container()
        try:
            await finished(asyncio.to_thread(write, target))
        except OSError as error:
            path = str(error.filename or "").removeprefix(str(upper))
            reason = os.strerror(error.errno or 0).lower()
            raise SystemFailure(f"failed to copy files: {path or '/'}: {reason}") from error
        return upper

    async def _run_container(self, prepared: Prepared, scratch: Path, lowers: list[Path]) -> Path:
        shop = self._shop
        container = StepContainer(shop.config, shop.runtime, shop.networks, scratch, lowers)
        settings = prepared.run
        assert settings is not None
        self._output.running(container.id)
        self._record.note(container=container.id)
        stream = RunOutput(self._output, self._record.output)
        try:
            ended = await container.run(settings, stream.write)
        except LabError:
            if self._options.force_remove:
                self._output.removed(container.id, force=True)
            raise
        stream.close()
        self._record.note(exit_code=ended.code)
        if ended.code:
            if self._options.force_remove:
                self._output.removed(container.id, force=True)
            command = " ".join(settings.args)
            raise StepFailedError(f"The command '{command}' returned a non-zero code: {ended.code}", ended.code)
        self._output.removed(container.id)
        return container.upper

    def _pretend_container(self) -> None:
        """Docker makes a container for a step that runs nothing, too, and says so; here its id is all there is."""
        name = self._record.id[:6] + f"{len(self._record.steps):06x}"
        self._output.running(name)
        self._output.removed(name)

    async def _commit_layer(self, upper: Path | None, parent: str | None) -> Layer | None:
        """Turn a step's changes into a layer; None where there are none."""
        if upper is None or not any(upper.iterdir()):
            return None
        if self._epoch:
            await finished(asyncio.to_thread(clamp_times, upper, int(self._epoch)))
        layer = await finished(asyncio.to_thread(self._shop.layers.adopt, upper, parent, holder=self.holder))
        self._record.note(layer={"diff_id": layer.diff_id, "chain_id": layer.chain_id, "size": layer.size})
        return layer

    @property
    def _epoch(self) -> str:
        """SOURCE_DATE_EPOCH in seconds, or ""."""
        given = self._options.build_args.get(_EPOCH) or ""
        if given and not given.isdecimal():
            raise InvalidParameter(f"invalid {_EPOCH}: {given}")
        return given

    def _created(self) -> str:
        """The time that goes into the image: now, or SOURCE_DATE_EPOCH."""
        if self._epoch:
            return datetime.fromtimestamp(int(self._epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        now = time.time_ns()
        seconds = datetime.fromtimestamp(now // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{seconds}.{now % 10**9:09d}Z"


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


def error_document(error: LabError) -> dict[str, Any]:
    """An error as the record keeps it."""
    line, text = (error.line, error.text) if isinstance(error, DockerfileError) else (0, "")
    return {"message": error.message, "hint": error.hint, "line": line, "text": text}
