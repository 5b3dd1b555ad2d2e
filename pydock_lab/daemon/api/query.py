"""Arguments and bodies as Docker's daemon reads them. Source: moby api/server/httputils/form.go, httputils.go."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from pydock_lab.daemon.engine.timestamps import parse_time_ns
from pydock_lab.errors import InvalidParameter

T = TypeVar("T")


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """Return a boolean argument: anything but "", 0, no, false, none is true."""
    value = request.query.get(name)
    if value is None:
        return default
    return value.strip().lower() not in ("", "0", "no", "false", "none")


def number(request: web.Request, name: str, default: int) -> int:
    """Return an integer argument. Raises InvalidParameter."""
    value = request.query.get(name, "")
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise InvalidParameter(f'strconv.Atoi: parsing "{value}": invalid syntax') from None


def moment_ns(request: web.Request, name: str) -> int | None:
    """Return a point in time in ns since the epoch, None where there is none. Raises InvalidParameter."""
    value = request.query.get(name, "")
    if not value:
        return None
    try:
        return parse_time_ns(value)
    except InvalidParameter:
        # Clients make a number of what their users type; dockerd takes nothing else.
        raise InvalidParameter(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


async def json_body(request: web.Request) -> bytes:
    """Read a body that has to be JSON, b"" where there is none. Raises InvalidParameter for another Content-Type."""
    body = await request.read()
    given = request.headers.get("Content-Type", "")
    if (body or given) and given.partition(";")[0].strip().lower() != "application/json":
        raise InvalidParameter(f"Content-Type specified ({given}) must be 'application/json'")
    return body


async def to_end(work: Coroutine[Any, Any, T]) -> T:
    """Let work that changes state go on to its end, even if the client goes away."""
    return await asyncio.shield(asyncio.ensure_future(work))
