"""One daemon at a time chooses subnets in a network namespace.

Between looking at the routes and making the bridge another daemon could
choose the same subnet. An abstract unix socket is a lock with just the right
reach: its names belong to the network namespace, and it goes with its holder.

Source: unix(7), abstract sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

_NAME = "\0pydock-subnets"
_POLL_S = 0.01
_PATIENCE_S = 5.0  # a name that is held longer is held by something that is no daemon of ours


@contextlib.asynccontextmanager
async def subnet_choice() -> AsyncIterator[None]:
    """Hold the right to choose a subnet until its bridge is there."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        while loop.time() < deadline:
            try:
                claim.bind(_NAME)
                break
            except OSError:
                await asyncio.sleep(_POLL_S)
        yield
