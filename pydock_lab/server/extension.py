"""Puts the panel's routes into a Jupyter server; it calls this once when it starts."""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join

from pydock_lab.server.follower import Follower
from pydock_lab.server.handlers import ActionHandler, EngineSocket, LogSocket, TerminalHandler

_PREFIX = "pydock-lab"


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add the routes. Nothing is asked of an engine before a panel opens."""
    base = url_path_join(server.web_app.settings["base_url"], _PREFIX)
    server.web_app.add_handlers(  # type: ignore[no-untyped-call]
        ".*$",
        [
            (url_path_join(base, "engine"), EngineSocket, {"follower": Follower()}),
            (url_path_join(base, "logs"), LogSocket),
            (url_path_join(base, "actions"), ActionHandler),
            (url_path_join(base, "terminals"), TerminalHandler),
        ],
    )
