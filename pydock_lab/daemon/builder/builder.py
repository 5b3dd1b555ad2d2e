"""Builds: begun, followed, canceled, recorded.

The door of this room: the API begins a build and reads its messages; build.py
does the work. Everything half-made lives below `data_root/tmp`, so that a
daemon that was killed leaves nothing that `start` doesn't find.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Protocol, cast

from pydock_lab.daemon.builder import pruning
from pydock_lab.daemon.builder.build import Build
from pydock_lab.daemon.builder.cache import BuildCache
from pydock_lab.daemon.builder.cachemounts import CacheMounts
from pydock_lab.daemon.builder.intermediate import Intermediates
from pydock_lab.daemon.builder.mailbox import Mailbox
from pydock_lab.daemon.builder.mirrors import Mirrors
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.output import Message, Output, short
from pydock_lab.daemon.builder.record import BuildRecord, Watcher
from pydock_lab.daemon.builder.supply import Supply, TarSupply
from pydock_lab.daemon.builder.workshop import (
    Resolve,
    ShareNetwork,
    StepFailedError,
    Workshop,
    error_document,
    no_container,
)
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Conflict, LabError, NotFound
from pydock_lab.spec import reference
from pydock_lab.spec.ids import fresh_id

log = logging.getLogger("pydock.builder")

_PREFIX = "build-"
_KEPT_RECORDS = 200
EVERYTHING = pruning.Pruned()


class EventSink(Protocol):
    """Docker's event stream, as far as builds speak on it (engine/events.py has it)."""

    def publish(self, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> Any:
        """Tell everyone who follows."""


class RunningBuild:
    """A build that was begun: its messages, and the means to stop it.

    Attributes:
        id: 64 hex digits; `/lab/builds/{id}` follows it.
        scratch: A directory of this build alone, removed when it has ended.
        tar: Where the client's context is to be written before `start`, unless that is given a supply.
        result: The image's id, once the build has succeeded; or why it failed.
    """

    def __init__(self, builder: Builder, options: BuildOptions, scratch: Path) -> None:
        self.id = scratch.name.removeprefix(_PREFIX)
        self.scratch = scratch
        self.tar = scratch / "context.tar"
        self.result: str | LabError = ""
        self._builder = builder
        self._options = options
        self._messages: Mailbox[Message | LabError | None] = Mailbox()
        self._task: asyncio.Task[None] | None = None

    def start(self, supply: Supply | None = None, watcher: Watcher | None = None) -> None:
        """Begin to build.

        Args:
            supply: What the client has; where None, the context lies in `tar`.
            watcher: Is told of each step.
        """
        self._task = asyncio.create_task(self._run(supply, watcher), name=f"build {short(self.id)}")

    async def messages(self) -> AsyncGenerator[list[Message], None]:
        """Yield the messages of Docker's stream, all that are waiting at a time, until the build has ended.

        Raises:
            LabError: the build failed before it had said anything.
        """
        while True:
            waiting = await self._messages.take()
            said = [message for message in waiting if isinstance(message, dict)]  # an end comes last
            if said:
                yield said
            if len(said) == len(waiting):
                continue
            if isinstance(end := waiting[len(said)], LabError):
                raise end
            return

    async def cancel(self) -> None:
        """Stop the build if it runs; return when nothing of it is left."""
        if self._task is None:
            await self._builder.discard(self)
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._task)

    async def remove_scratch(self) -> None:
        """Remove all that is half-made."""
        await asyncio.to_thread(shutil.rmtree, self.scratch, ignore_errors=True)

    async def _run(self, supply: Supply | None, watcher: Watcher | None) -> None:
        try:
            await self._builder.carry_out(self, self._options, self._messages, supply, watcher)
        finally:
            self._messages.put(None)


class Builder:
    """All builds of one daemon.

    Attributes:
        mirrors: Directories that clients have sent file by file, kept from build to build.
        rootless: The daemon is a plain user's.
    """

    def __init__(
        self,
        config: DaemonConfig,
        database: Database,
        runtime: Runtime,
        layers: LayerStore,
        image_store: ImageStore,
        networks: Networks,
        resolve_or_pull: Resolve,
        events: EventSink,
        trace: Trace,
        remove_image: pruning.RemoveImage | None = None,
        share_network: ShareNetwork = no_container,
        intermediates: Intermediates | None = None,
    ) -> None:
        self._documents = database.table("builds")
        self._cache = BuildCache(database.table("build_cache"))
        self._cache_mounts = CacheMounts(config.data_root / "cachemounts")
        self.rootless = config.rootless
        self.mirrors = Mirrors(config.data_root / "contexts")
        self._shop = Workshop(
            config,
            runtime,
            layers,
            image_store,
            networks,
            resolve_or_pull,
            self._cache,
            self._cache_mounts,
            trace,
            share_network,
            intermediates,
        )
        self._remove_image = remove_image or self._remove_stored
        self._secrets = config.exec_root / "builds"
        self._events = events
        self._tmp = config.data_root / "tmp"
        self._running: dict[str, RunningBuild] = {}
        self._live: dict[str, BuildRecord] = {}
        self._client_ids: dict[str, str] = {}
        self._chores: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Clean what builds of a daemon that was killed have left."""
        for build_id, document in self._documents.items():
            if document["state"] == "running":
                self._shop.layers.release(f"build:{build_id}")
                self._documents.put(build_id, {**document, "state": "interrupted"})
        left = [path for path in self._tmp.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX) not in self._running]
        if left:
            self._chore(asyncio.to_thread(_remove_all, left))
        await asyncio.to_thread(shutil.rmtree, self._secrets, ignore_errors=True)
        await asyncio.to_thread(self._cache_mounts.clean)

    async def close(self) -> None:
        """Stop every build."""
        await asyncio.gather(*(build.cancel() for build in list(self._running.values())), return_exceptions=True)
        await asyncio.gather(*self._chores, return_exceptions=True)

    def begin(self, options: BuildOptions) -> RunningBuild:
        """Make room for a build; the caller writes the context and starts it, or cancels it.

        Raises:
            InvalidParameter: a tag is no reference.
        """
        for tag in options.tags:
            reference.parse(tag)
        scratch = self._tmp / f"{_PREFIX}{fresh_id()}"
        self._tmp.mkdir(mode=0o700, exist_ok=True)
        scratch.mkdir(mode=0o700)
        build = RunningBuild(self, options, scratch)
        self._running[build.id] = build
        if options.build_id:
            self._client_ids[options.build_id] = build.id
        return build

    async def cancel(self, client_id: str) -> None:
        """Stop the build that a client named with `buildid`; unknown ones have ended already."""
        build = self._running.get(self._client_ids.get(client_id, client_id))
        if build is not None:
            await build.cancel()

    def records(self) -> list[dict[str, Any]]:
        """Return every build, newest first, without its steps."""
        documents = {**dict(self._documents.items()), **{key: live.document for key, live in self._live.items()}}
        newest_first = sorted(documents.values(), key=lambda document: -document["started_at_ns"])
        left_out = ("steps", "stages", "dockerfile")
        return [{key: value for key, value in row.items() if key not in left_out} for row in newest_first]

    def record(self, build_id: str) -> dict[str, Any]:
        """Return one build with its steps, by id or unambiguous prefix; also while it runs.

        Raises:
            NotFound: there is no such build.
        """
        if build_id in self._live:
            return self._live[build_id].document
        keys = [key for key in {*self._documents.keys(), *self._live} if build_id and key.startswith(build_id)]
        if len(keys) != 1:
            raise NotFound(f"No such build: {build_id}")
        if keys[0] in self._live:
            return self._live[keys[0]].document
        return cast("dict[str, Any]", self._documents.get(keys[0]))

    def usage(self) -> list[dict[str, Any]]:
        """Return what `docker system df` counts as build cache: Docker's BuildCache each; blocks."""
        return self._cache_mounts.documents() + self.mirrors.documents()

    async def prune(self, wanted: pruning.Pruned = EVERYTHING) -> dict[str, Any]:
        """Forget cached steps and remove what only they hold (`POST /build/prune`); see pruning.py."""
        ended = [document for key, document in self._documents.items() if key not in self._live]
        running = [record.document for record in self._live.values()]
        report = await pruning.prune(self._shop, self.mirrors, self._remove_image, ended, running, wanted)
        self._events.publish("builder", "prune", "", {"reclaimed": str(report["SpaceReclaimed"])})
        return report

    async def _remove_stored(self, image_id: str) -> None:
        """Remove an image that nothing was built on."""
        if self._shop.images.children(image_id):
            raise Conflict(f"{image_id} has children")
        await asyncio.to_thread(self._shop.images.remove, image_id)

    async def discard(self, build: RunningBuild) -> None:
        """Forget a build that was never started."""
        self._forget(build)
        await build.remove_scratch()

    async def carry_out(
        self,
        build: RunningBuild,
        options: BuildOptions,
        messages: Mailbox[Message | LabError | None],
        supply: Supply | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Run a build to its end, whatever that is, and clean up after it."""
        record = BuildRecord(build.id, tags=list(options.tags), dockerfile="", target=options.target, watcher=watcher)
        self._live[build.id] = record
        self._documents.put(build.id, {**record.document, "stages": [], "steps": []})
        voice = _Voice(messages, quiet=options.quiet)
        output = Output(voice.send, messages.room, remove=options.remove, reasons=options.reasons)
        supply = supply or TarSupply(build.tar, build.scratch, options, rootless=self._shop.config.rootless)
        work = Build(self._shop, options, record, output, build.scratch, supply)
        try:
            build.result = image_id = await work.run()
            self._tag(options, image_id, voice)
            record.close("succeeded", image=image_id)
        except asyncio.CancelledError:
            record.close("canceled")
            raise
        except LabError as error:
            build.result = error
            record.close("failed", error=error_document(error))
            voice.fail(error)
        except Exception as error:
            # A bug here must end the build as a failure would: somebody follows its messages to their end.
            log.exception("build %s failed", build.id)
            build.result = failure = LabError(f"{type(error).__name__}: {error}")
            record.close("failed", error={"message": str(error), "hint": None, "line": 0, "text": ""})
            voice.fail(failure)
        finally:
            await asyncio.shield(self._finish(build, record, work.holder))

    def _tag(self, options: BuildOptions, image_id: str, voice: _Voice) -> None:
        tags = [reference.parse(tag) for tag in options.tags]
        voice.say(f"Successfully built {short(image_id)}\n")
        labels = self._shop.images.get(image_id).labels
        for tag in dict.fromkeys(tags):
            self._shop.images.tag(str(tag), image_id)
            self._events.publish("image", "tag", image_id, {**labels, "name": tag.familiar})
            voice.say(f"Successfully tagged {tag.familiar}\n")
        voice.result(image_id)

    async def _finish(self, build: RunningBuild, record: BuildRecord, holder: str) -> None:
        """Write the record, let layers go, remove what is half-made."""
        self._documents.put(build.id, record.document)
        self._shop.trace.emit("builder", "build.ended", build.id, state=record.document["state"])
        self._shop.layers.release(holder)
        if (private := self._secrets / build.id).exists():
            await asyncio.to_thread(shutil.rmtree, private, ignore_errors=True)
        self._forget(build)
        self._drop_old_records()
        # The client has its answer; the unpacked context can go while it reads it.
        self._chore(build.remove_scratch())

    def _forget(self, build: RunningBuild) -> None:
        self._running.pop(build.id, None)
        self._live.pop(build.id, None)
        self._client_ids = {key: value for key, value in self._client_ids.items() if value != build.id}

    def _drop_old_records(self) -> None:
        keys = self._documents.keys()
        if len(keys) > _KEPT_RECORDS:
            for row in self.records()[_KEPT_RECORDS:]:
                self._documents.delete(row["id"])

    def _chore(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


class _Voice:
    """Puts messages into a build's queue; with `quiet` only its end is heard."""

    def __init__(self, messages: Mailbox[Message | LabError | None], *, quiet: bool) -> None:
        self._messages = messages
        self._quiet = quiet
        self._held: list[Message] = []
        self._spoken = False

    def send(self, message: Message) -> None:
        """Send one message, or keep it back."""
        if self._quiet:
            self._held.append(message)
        else:
            self._spoken = True
            self._messages.put(message)

    def say(self, text: str) -> None:
        """Send text."""
        self.send({"stream": text})

    def result(self, image_id: str) -> None:
        """The id alone is what a quiet build prints."""
        if self._quiet:
            self._messages.put({"stream": f"{image_id}\n"})

    def fail(self, error: LabError) -> None:
        """Tell of a failure: in the stream once there is one, else as the answer's status."""
        for message in self._held:
            self._spoken = True
            self._messages.put(message)
        if not self._spoken:
            self._messages.put(error)
            return
        detail: dict[str, Any] = {"message": error.message}
        if isinstance(error, StepFailedError):
            detail = {"code": error.code, **detail}
        if error.hint:
            detail["hint"] = error.hint
        self._messages.put({"errorDetail": detail, "error": error.message})


def _remove_all(paths: list[Path]) -> None:
    started = time.monotonic()
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
    log.info("removed what %d interrupted builds left, in %.1f s", len(paths), time.monotonic() - started)
