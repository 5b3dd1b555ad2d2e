"""The panel's routes below Jupyter's base URL; who may use them is Jupyter's to say (token, cookie, XSRF).

    GET  pydock-lab/engine      a websocket: what there is, sent whenever it changes (see follower.py)
    GET  pydock-lab/logs?name=  a websocket: a container's log
    POST pydock-lab/actions     {"noun", "act", "name"} → {"command", "output", "notes"}
    POST pydock-lab/terminals   {"name"} → {"terminal", "command"}: a Jupyter terminal with a shell in a container

This is no way to the engine's own API: what can be asked is what actions.py lists.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from pydock_lab.client.commands.execute import run_line
from pydock_lab.client.commands.session import Session
from pydock_lab.client.connection import Connection
from pydock_lab.client.screen import Screen
from pydock_lab.errors import LabError
from pydock_lab.server import actions
from pydock_lab.server.follower import Document, Follower
from pydock_lab.server.log_tail import LogTail

_EVERY_S = 0.1
_RESOURCE = "terminals"  # whoever may open a terminal may do all of this there


class PostHandler(APIHandler):
    """What the POST routes share: an error is a document with the command's own words."""

    auth_resource = _RESOURCE

    def text(self, name: str) -> str:
        """Return one text of the request's document."""
        value = (self.get_json_body() or {}).get(name)
        if not isinstance(value, str):
            raise web.HTTPError(400, f"{name} is missing")
        return value

    def refuse(self, error: LabError, command: str = "") -> None:
        """Answer with an error."""
        self.set_status(400)
        self.finish({"command": command, "message": error.message, "hint": error.hint})


class ActionHandler(PostHandler):
    """Runs one command of the list."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Run it and answer with what it printed."""
        try:
            words = actions.words(self.text("noun"), self.text("act"), self.text("name"))
        except LabError as error:
            return self.refuse(error)
        command = actions.line(words)
        try:
            output, notes = await asyncio.to_thread(_run, words)
        except LabError as error:
            return self.refuse(error, command)
        return self.finish({"command": command, "output": output, "notes": notes})  # type: ignore[return-value]


class TerminalHandler(PostHandler):
    """Opens a Jupyter terminal in which a container's shell runs."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Open it and answer with its name."""
        manager = self.settings.get("terminal_manager")
        try:
            words = actions.terminal(self.text("name"))
            if manager is None:
                raise LabError("this Jupyter server has no terminals")
            await asyncio.to_thread(_must_run, words[3])
        except LabError as error:
            return self.refuse(error)
        shell = [sys.executable, "-m", "pydock_lab.client.cli", *words]
        terminal = manager.create(shell_command=shell, cwd=str(Path.home()))
        return self.finish({"terminal": terminal["name"], "command": actions.line(words)})  # type: ignore[return-value]


class SocketHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """What the websockets share: who may open one, and sending documents to a page that may be gone."""

    auth_resource = _RESOURCE

    @ws_authenticated
    @authorized(action="execute")  # type: ignore[untyped-decorator]  # Jupyter's types know its bare form only
    async def get(self, *arguments: Any, **more: Any) -> None:  # type: ignore[override]
        """Become a websocket."""
        await super().get(*arguments, **more)

    def get_compression_options(self) -> dict[str, Any]:
        """Compress: a list of images is many times the same words."""
        return {}

    async def tell(self, document: Document) -> bool:
        """Send a document and wait until it is on its way; return whether somebody is there."""
        try:
            await self.write_message(json.dumps(document))
        except WebSocketClosedError:
            return False
        return True


class EngineSocket(SocketHandler):
    """Sends what the engine has, whenever it changes."""

    def initialize(self, follower: Follower) -> None:
        """Share the follower of all panels."""
        self._follower = follower
        # One document waits at most: a page that is slow gets the newest.
        self._newest: deque[Document] = deque(maxlen=1)
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def open(self, *_arguments: Any, **_more: Any) -> None:
        """Begin to follow."""
        super().open()
        self._sender = asyncio.get_running_loop().create_task(self._send())
        self._follower.join(self._hear)

    async def on_message(self, message: str | bytes) -> None:
        """Start an engine that is down, when the page asks: `start`."""
        if message == "start":
            await self._follower.start()

    def on_close(self) -> None:
        """Follow no more."""
        self._follower.leave(self._hear)
        if self._sender is not None:
            self._sender.cancel()

    def _hear(self, document: Document) -> None:
        self._newest.append(document)
        self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._newest and not await self.tell(self._newest.pop()):
                return


class LogSocket(SocketHandler):
    """Sends a container's log as it grows."""

    def initialize(self) -> None:
        """Nothing is open yet."""
        self._sender: asyncio.Task[None] | None = None

    def open(self, *_arguments: Any, **_more: Any) -> None:
        """Begin to follow."""
        super().open()
        self._sender = asyncio.get_running_loop().create_task(self._send(self.get_query_argument("name")))

    async def on_message(self, message: str | bytes) -> None:
        """Hear nothing."""

    def on_close(self) -> None:
        """Follow no more."""
        if self._sender is not None:
            self._sender.cancel()

    async def _send(self, name: str) -> None:
        try:
            tail = await asyncio.to_thread(lambda: LogTail(Connection(), actions.checked(name)))
        except LabError as error:
            await self.tell({"type": "error", "message": error.message, "hint": error.hint})
            return
        try:
            while True:
                piece = tail.take()
                document = {"type": "end" if piece.ended else "text", "text": piece.text, "skipped": piece.skipped}
                if (piece.text or piece.ended) and (not await self.tell(document) or piece.ended):
                    return
                await asyncio.sleep(_EVERY_S)
        finally:
            tail.close()


def _run(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """Run a command; return what it printed, and its notes."""
    connection = Connection()
    out, aside = io.BytesIO(), io.BytesIO()
    try:
        result = run_line(words, Session(connection, Screen(out, aside), environment=os.environ))
    finally:
        connection.close()
    printed = out.getvalue().decode(errors="replace") + result.text
    if result.exit_code:
        raise LabError(aside.getvalue().decode(errors="replace").strip() or printed.strip())
    return printed.strip(), result.notes


def _must_run(name: str) -> None:
    """Say that a container doesn't run before a terminal opens and closes."""
    state = Connection().request("GET", f"/containers/{name}/json").json()["State"]
    if not state["Running"] or state.get("Paused"):
        raise LabError(
            f"container {name} is {state['Status']}: a shell needs one that runs",
            hint=f"docker container start {name}",
        )
