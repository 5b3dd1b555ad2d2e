"""One stage of a build, step by step.

Every step lives the same life: prepare → hit, or execute → commit. What it says
goes to its stage's output in Docker's words, what it knows to the record as data.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.arguments import BuildArguments
from pydock_lab.daemon.builder.cache import Hit, Miss
from pydock_lab.daemon.builder.container import RunSettings, StepContainer
from pydock_lab.daemon.builder.copying import clamp_times
from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.builder.imagecache import ImageCache
from pydock_lab.daemon.builder.intermediate import Intermediate
from pydock_lab.daemon.builder.mistakes import hint_for
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.output import Output, RunOutput
from pydock_lab.daemon.builder.plan import Planner, Prepared
from pydock_lab.daemon.builder.record import BuildRecord, StepRecord
from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs
from pydock_lab.daemon.builder.runmounts import RunMounts
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.builder.supply import Supply
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.daemon.builder.workshop import StepFailedError, Workshop
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Layer
from pydock_lab.dockerfile.instructions import Arg, Instruction
from pydock_lab.dockerfile.parser import parse_trigger
from pydock_lab.dockerfile.stages import Stage
from pydock_lab.dockerfile.substitution import substitute
from pydock_lab.dockerfile.typed import instruction as typed
from pydock_lab.errors import LabError, NotFound, SystemFailure

EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class Job:
    """What the stages of one build share.

    Attributes:
        scratch: An existing directory on the layers' file system, of this build alone.
        escape: The Dockerfile's escape character.
        epoch: SOURCE_DATE_EPOCH in seconds, or "".
        holder: The name under which layers are kept while no image holds them yet.
        image_cache: `--cache-from`, or None where all that was built here counts.
        supply: Gives what the client has besides the context: secrets, ssh agents.
        total: Number of steps.
    """

    shop: Workshop
    options: BuildOptions
    record: BuildRecord
    arguments: BuildArguments
    scratch: Path
    escape: str
    epoch: str
    holder: str
    image_cache: ImageCache | None
    supply: Supply
    total: int


class StageBuild:
    """Builds one stage.

    Args:
        number: Of the step before its first one.
        labels: Instructions that follow its own: `--label`.
        base: Gives the image it begins with.
        find_tree: Finds the files behind `--from`; "" is the build context.
    """

    def __init__(
        self,
        job: Job,
        stage: Stage,
        output: Output,
        *,
        number: int,
        labels: list[Instruction],
        base: Callable[[], Awaitable[Draft]],
        find_tree: Callable[[str], Awaitable[SourceTree]],
    ) -> None:
        self._job = job
        self._shop = job.shop
        self._stage = stage
        self._output = output
        self._number = number
        self._labels = labels
        self._base = base
        self._find_tree = find_tree
        self._directory = job.scratch / f"stage-{stage.index}"
        self._count = 0
        filtered = {name.lower() for name in job.options.no_cache_filter}
        self._reuse = not job.options.no_cache and not {stage.name, str(stage.index)} & filtered
        self._record: StepRecord
        self._seen: Intermediate | None = None

    def waiting(self) -> AbstractContextManager[None]:
        """While the step that runs waits for another stage."""
        return self._record.waiting()

    async def run(self) -> Draft:
        """Build the stage; return its image."""
        self._begin(self._stage.base)
        try:
            return await self._run()
        except asyncio.CancelledError:
            self._record.end("canceled")
            raise

    async def _run(self) -> Draft:
        stage, output = self._stage, self._output
        draft = await self._base()
        self._directory.mkdir()
        base = draft.parent
        self._record.note(image=base)
        self._record.end("done")
        planner = Planner(
            options=self._job.options,
            draft=draft,
            arguments=self._job.arguments.stage(),
            find_tree=self._find_tree,
            scratch=self._directory / "downloads",
            rootless=self._shop.config.rootless,
            constants={EPOCH: self._job.epoch} if self._job.epoch else {},
        )
        if draft.triggers:
            count = len(draft.triggers)
            output.triggers(count)
        for trigger in draft.triggers:
            instruction = typed(parse_trigger(trigger, stage.base.start_line))
            lines = (stage.base.start_line, stage.base.start_line)
            self._record = self._job.record.begin(self._number, stage.index, instruction.keyword, trigger, lines)
            await self._step(instruction, planner, first=draft.parent == base)
        output.result(draft.parent)
        for number, instruction in enumerate(stage.instructions):
            self._begin(instruction, planner)
            await self._step(instruction, planner, first=number == 0)
            output.result(draft.parent)
        for label in self._labels:
            self._begin(label, planner)
            await self._step(label, planner, first=False, literal=True)
            output.result(draft.parent)
        if draft.parent:
            output.image(draft.parent)
            self._job.record.document["stages"][stage.index]["image"] = draft.parent
        return draft

    def _begin(self, instruction: Instruction, planner: Planner | None = None) -> None:
        self._number += 1
        self._output.step(self._number, self._job.total, instruction.text)
        lines = (instruction.start_line, instruction.end_line)
        record = self._job.record
        scope = {} if planner is None else planner.arguments.scope(planner.draft.env)
        self._record = record.begin(
            self._number, self._stage.index, instruction.keyword, instruction.text, lines, scope
        )

    async def _step(self, instruction: Instruction, planner: Planner, *, first: bool, literal: bool = False) -> None:
        """Prepare one step, then take it from the cache or make it; a `$` in a `literal` one is a dollar sign."""
        draft = planner.draft
        scope = planner.arguments.scope(draft.env)
        expanded = instruction if literal else substitute(instruction, scope, self._job.escape)
        if isinstance(expanded, Arg):
            planner.arguments.declare(expanded)
        prepared = await planner.prepare(expanded)
        if prepared.note:
            self._output.say(prepared.note)
        image = self._look_up(prepared, draft, first=first)
        state = "done"
        if image is not None:
            draft.take_over(image.config, image.id, image.chain_id)
            self._output.cached()
            state = "cached"
        else:
            image = await self._make(prepared, draft)
        self._record.note(image=image.id)
        self._record.end(state)

    def _look_up(self, prepared: Prepared, draft: Draft, *, first: bool) -> Image | None:
        """Return the image of a step that was built before; note why or why not."""
        cache, trace, record = self._shop.cache, self._shop.trace, self._job.record
        hit = cache.find(prepared.inputs) if self._reuse else None
        if not self._reuse:
            miss = Miss("no-cache", "the cache was not asked (--no-cache)")
        elif (found := self._cached(hit, prepared, draft)) is not None:
            image, origin = found
            self._note_cache({"hit": True, "key": prepared.inputs.key, "from": origin})
            trace.emit("builder", "cache.hit", record.id, step=self._record.number, origin=origin)
            return image
        elif hit is None:
            miss = cache.explain(prepared.inputs, first=first)
        elif hit.image_id in self._shop.images:
            miss = Miss("cache-from", "the step is known, but in none of the images of --cache-from")
        else:
            miss = Miss("image", "the image of the cached step has been removed")
        reason = {"field": miss.field, "text": miss.text, "changes": list(miss.changes)}
        self._note_cache({"hit": False, "key": prepared.inputs.key, "reason": reason})
        trace.emit("builder", "cache.missed", record.id, step=self._record.number, reason=reason)
        return None

    def _note_cache(self, found: dict[str, Any]) -> None:
        self._record.note(cache=found)
        self._output.looked_up(found)

    def _cached(self, hit: Hit | None, prepared: Prepared, draft: Draft) -> tuple[Image, dict[str, object]] | None:
        """Return a step's image and where it is from."""
        images = self._job.image_cache
        if hit is not None and (images is None or images.holds(hit.image_id)):
            image = self._image_of(hit)
            if image is not None:
                return image, {"build": hit.build, "step": hit.step, "image": hit.image_id}
        if images is not None and (image := images.find(draft, prepared.created_by)) is not None:
            self._shop.cache.add(prepared.inputs, image.id, self._job.record.id, self._record.number)
            return image, {"build": "", "step": 0, "image": image.id}
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
            self._check_volumes(prepared, draft)
            self._pretend_container()
        stays = self._seen is not None and not self._job.options.remove
        layer = await self._commit_layer(upper, draft.chain_id, move=not stays)
        raw = draft.committed(self._created(), prepared.created_by, diff_id=None if layer is None else layer.diff_id)
        image = self._shop.images.put(raw, parent=draft.parent)
        key = self._shop.cache.add(prepared.inputs, image.id, self._job.record.id, self._record.number)
        if self._seen is not None and upper is not None:
            await self._let_go(self._seen, upper, stays=stays)
        draft.parent = image.id
        if layer is not None:
            draft.chain_id = layer.chain_id
            self._record.note(layer={"diff_id": layer.diff_id, "chain_id": layer.chain_id, "size": layer.size})
        self._shop.trace.emit(
            "builder",
            "step.committed",
            self._job.record.id,
            step=self._record.number,
            image=image.id,
            key=key,
            layer="" if layer is None else layer.diff_id,
            duration_ns=time.monotonic_ns() - started,
        )
        return image

    async def _execute(self, prepared: Prepared, draft: Draft) -> Path:
        """Make the files of a step; return the directory that holds its changes."""
        self._count += 1
        scratch = self._directory / f"step-{self._count}"
        scratch.mkdir()
        lowers = self._shop.layers.lower_paths(draft.chain_id)
        if prepared.run is not None:
            return await self._run_container(prepared, draft, scratch, lowers)
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
            if prepared.inputs.keyword == "WORKDIR" and error.errno == errno.ENOTDIR:
                raise SystemFailure(f"Cannot mkdir: {draft.workdir} is not a directory") from error
            path = str(error.filename or "").removeprefix(str(upper))
            reason = os.strerror(error.errno or 0).lower()
            raise SystemFailure(f"failed to copy files: {path or '/'}: {reason}") from error
        return upper

    async def _run_container(self, prepared: Prepared, draft: Draft, scratch: Path, lowers: list[Path]) -> Path:
        shop, options = self._shop, self._job.options
        settings = prepared.run
        assert settings is not None
        kind, _, other = settings.network.partition(":")
        container = StepContainer(shop.config, shop.runtime, shop.networks, scratch, lowers)
        self._output.running(container.id)
        self._record.note(container=container.id)
        stream = RunOutput(self._output, self._record.output)
        self._seen = seen = self._intermediate(container.id, draft, settings)
        try:
            if kind == "container":
                container.join(shop.share_network(other))
            async with AsyncExitStack() as stack:
                mounted = await self._mounts().enter(prepared.mounts, settings.cwd, scratch, stack)
                settings = replace(
                    settings,
                    mounts=tuple(mounted.mounts),
                    mounted_files=frozenset(mounted.files),
                    env=[*settings.env, *mounted.env],
                )
                ended = await container.run(settings, stream.write)
        except BaseException as error:
            if isinstance(error, LabError) and options.force_remove:
                self._output.removed(container.id, force=True)
            if seen is not None:
                # Canceled, or never started: Docker keeps the second one as well.
                seen.ended()
                stays = isinstance(error, LabError) and not options.force_remove and container.upper.is_dir()
                await self._let_go(seen, container.upper, stays=stays)
            raise
        stream.close()
        self._record.note(exit_code=ended.code)
        if seen is not None:
            seen.ended(ended.code)
        if ended.code:
            if options.force_remove:
                self._output.removed(container.id, force=True)
            await self._fail(prepared, draft, container.upper, settings.args, ended.code)
        self._output.removed(container.id)
        return container.upper

    def _intermediate(self, container_id: str, draft: Draft, settings: RunSettings) -> Intermediate | None:
        """What the client sees of a container; None where it sees none."""
        engine = self._shop.intermediates
        if engine is None or self._job.options.reasons:
            return None
        return Intermediate(engine, container_id, draft.parent, settings)

    async def _let_go(self, seen: Intermediate, upper: Path, *, stays: bool) -> None:
        self._seen = None
        # On scratch there is no image that it could be a container of, and none is made without a command.
        if stays and seen.image_id and seen.settings.args:
            await seen.keep(upper)
        else:
            seen.removed()

    def _mounts(self) -> RunMounts:
        job = self._job
        return RunMounts(
            caches=self._shop.cache_mounts,
            find=self._find_tree,
            secrets=job.supply.secret,
            agents=job.supply.agent,
            private=self._shop.config.exec_root / "builds" / job.record.id,
            rootless=self._shop.config.rootless,
        )

    async def _fail(self, prepared: Prepared, draft: Draft, upper: Path, args: list[str], code: int) -> None:
        """Keep what the failed step left, say how to look at it, and end the build."""
        command, output = " ".join(args), self._record.document["output"]
        hint = hint_for(command, output, code)
        after = ""
        if self._seen is not None:
            await self._let_go(self._seen, upper, stays=not self._job.options.force_remove)
        elif not self._job.options.force_remove:
            after = (await self._failed_image(prepared, draft, upper, code)).id
        self._job.record.document["failure"] = {
            "step": self._record.number,
            "line": self._record.document["line"],
            "command": command,
            "exit_code": code,
            "output": output,
            "hint": hint,
            "arguments": dict(prepared.inputs.arguments),
            "before": draft.parent,
            "after": after,
        }
        raise StepFailedError(f"The command '{command}' returned a non-zero code: {code}", code, hint=hint)

    async def _failed_image(self, prepared: Prepared, draft: Draft, upper: Path, code: int) -> Image:
        """Commit the state in which a step failed as an image without a name."""
        layer = await self._commit_layer(upper, draft.chain_id)
        failed = (
            Draft.on(self._shop.images.get(draft.parent).config, draft.parent, draft.chain_id)
            if draft.parent
            else draft
        )
        comment = f"{prepared.created_by} # failed with status {code}"
        raw = failed.committed(self._created(), comment, diff_id=None if layer is None else layer.diff_id)
        return self._shop.images.put(raw, parent=draft.parent)

    def _check_volumes(self, prepared: Prepared, draft: Draft) -> None:
        """A volume takes a directory's place, not a file's; Docker finds out as soon as there is a container."""
        if prepared.inputs.keyword != "VOLUME":
            return
        rootfs = Rootfs(self._shop.layers.lower_paths(draft.chain_id), rootless=self._shop.config.rootless)
        for path in draft.config["Volumes"]:
            place = rootfs.resolve(draft.absolute(path)) if draft.chain_id else None
            if place is not None and not place.is_directory:
                raise SystemFailure(f"cannot mount volume over existing file, file exists {path}")

    def _pretend_container(self) -> None:
        """Docker makes a container for a step that runs nothing, too, and says so; here its id is all there is."""
        name = self._job.record.id[:6] + f"{self._number:06x}"
        self._output.running(name)
        self._output.removed(name)

    async def _commit_layer(self, upper: Path | None, parent: str | None, *, move: bool = True) -> Layer | None:
        """Turn a step's changes into a layer, a copy of them unless `move`; None where there are none."""
        if upper is None or not any(upper.iterdir()):
            return None
        if self._job.epoch:
            await finished(asyncio.to_thread(clamp_times, upper, int(self._job.epoch)))
        layers = self._shop.layers
        make = layers.adopt if move else layers.snapshot
        return await finished(asyncio.to_thread(make, upper, parent, holder=self._job.holder))

    def _created(self) -> str:
        """The time that goes into the image: now, or SOURCE_DATE_EPOCH."""
        if self._job.epoch:
            return datetime.fromtimestamp(int(self._job.epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        now = time.time_ns()
        seconds = datetime.fromtimestamp(now // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{seconds}.{now % 10**9:09d}Z"
