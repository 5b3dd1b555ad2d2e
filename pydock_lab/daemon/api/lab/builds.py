"""Time travel: an image's steps by number, each of which can be run, and what several of them changed together.

Routes:
    GET  /lab/images/{name}/steps             every line of the history: number, image id where there is one, layer
    POST /lab/images/{name}/steps/{number}    the image as it was after that step; made where it is not there
    GET  /lab/images/{name}/rootfs            all layers merged, as one tar
    GET  /lab/images/{name}/changes?from=2&to=5    what the steps 3 to 5 did to the files of step 2

Steps count from 1, oldest first; 0 is the state before the first.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.builder.export import merged_tar
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import Change, chain_id
from pydock_lab.errors import InvalidParameter, NotFound

_PIECE = 1 << 20


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route table."""
    steps = _Steps(engine)
    return [
        web.get("/lab/images/{name:.+}/steps", steps.get_steps),
        web.post("/lab/images/{name:.+}/steps/{number}", steps.post_step),
        web.get("/lab/images/{name:.+}/rootfs", steps.get_rootfs),
        web.get("/lab/images/{name:.+}/changes", steps.get_changes),
    ]


class _Steps:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get_steps(self, request: web.Request) -> web.StreamResponse:
        """The history of an image, oldest first."""
        return json_response(self._documents(self._engine.images.resolve(request.match_info["name"])))

    async def post_step(self, request: web.Request) -> web.StreamResponse:
        """Answer with the id of the image after a step."""
        image = self._engine.images.resolve(request.match_info["name"])
        number = _number(request.match_info["number"], len(self._documents(image)), least=1)
        return json_response({"Id": self._at(image, number)})

    async def get_rootfs(self, request: web.Request) -> web.StreamResponse:
        """The root file system of an image, as a container would begin with it."""
        image = self._engine.images.resolve(request.match_info["name"])
        layers = self._engine.layers.lower_paths(image.chain_id)
        chunks = merged_tar(layers, rootless=self._engine.config.rootless)
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        await response.prepare(request)
        while chunk := await asyncio.to_thread(_some, chunks):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def get_changes(self, request: web.Request) -> web.StreamResponse:
        """Added, changed and deleted paths of a range of steps, as Docker writes them: Kind 0 C, 1 A, 2 D."""
        image = self._engine.images.resolve(request.match_info["name"])
        steps = self._documents(image)
        first = _number(request.query.get("from", "0"), len(steps))
        last = _number(request.query.get("to", str(len(steps))), len(steps), least=first)
        chains = [str(step["chain_id"]) for step in steps[first:last] if not step["empty"]]
        changes = await asyncio.to_thread(self._merged, chains)
        kinds = {"C": 0, "A": 1, "D": 2}
        return json_response([{"Path": each.path, "Kind": kinds[each.kind], "Size": each.size} for each in changes])

    def _documents(self, image: Image) -> list[dict[str, Any]]:
        """One document a step: the layer it made and, where the engine has it, its image."""
        ids = self._images(image)
        diff_ids, chain = list(image.config["rootfs"]["diff_ids"]), None
        steps: list[dict[str, Any]] = []
        for number, entry in enumerate(image.config.get("history") or [], 1):
            empty = bool(entry.get("empty_layer")) or not diff_ids
            size = 0
            if not empty:
                chain = chain_id(chain, diff_ids.pop(0))
                size = self._engine.layers.get(chain).size
            steps.append(
                {
                    "number": number,
                    "created": entry.get("created", ""),
                    "created_by": entry.get("created_by", ""),
                    "empty": empty,
                    "chain_id": chain or "",
                    "size": size,
                    "image": ids.get(number, ""),
                }
            )
        return steps

    def _images(self, image: Image) -> dict[int, str]:
        """Number of a step → its image, as far as the images that this one was built on are here."""
        ids: dict[int, str] = {}
        current: Image | None = image
        while current is not None:
            ids.setdefault(len(current.config.get("history") or []), current.id)
            current = self._parent(current)
        return ids

    def _parent(self, image: Image) -> Image | None:
        try:
            return self._engine.images.resolve(image.parent) if image.parent else None
        except NotFound:
            return None

    def _at(self, image: Image, number: int) -> str:
        """Return the image after a step; one that only its history tells of is put together from it."""
        if known := self._images(image).get(number):
            return known
        config = copy.deepcopy(image.config)
        history = config["history"][:number]
        layers = sum(not entry.get("empty_layer") for entry in history)
        config |= {"history": history, "created": history[-1].get("created") or config.get("created")}
        config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][:layers]
        return self._engine.images.create(config, None).id

    def _merged(self, chains: list[str]) -> list[Change]:
        """Several layers' changes as one: what was added and deleted again never was."""
        merged: dict[str, Change] = {}
        for chain in chains:
            for change in self._engine.layers.changes(chain):
                before = merged.pop(change.path, None)
                if change.kind == "D":
                    for path in [path for path in merged if path.startswith(f"{change.path}/")]:
                        del merged[path]
                if before is None:
                    merged[change.path] = change
                elif before.kind == "A" and change.kind != "D":
                    merged[change.path] = change._replace(kind="A")
                elif before.kind != "A":
                    kind = "D" if change.kind == "D" else "C"
                    merged[change.path] = change._replace(kind=kind)
        return sorted(merged.values(), key=lambda change: change.path)


def _some(chunks: Iterator[bytes]) -> bytes:
    """Gather small pieces: a thread for each header would take longer than the reading."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _PIECE:
            break
    return bytes(gathered)


def _number(text: str, most: int, *, least: int = 0) -> int:
    if not text.isdecimal() or not text.isascii():
        raise InvalidParameter(f"no number of a step: {text}")
    if not least <= int(text) <= most:
        raise NotFound(f"there is no step {text}: the steps are {least} to {most}")
    return int(text)
