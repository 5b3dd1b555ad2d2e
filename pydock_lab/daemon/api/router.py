"""Docker's URL versions: `/v1.41/containers/json` and `/containers/json` are one route.

Source: moby api/server/router and middleware/version.go.
"""

from __future__ import annotations

import re

from aiohttp import web
from aiohttp.abc import AbstractMatchInfo

from pydock_lab.errors import InvalidParameter

API_VERSION = "1.47"
MIN_API_VERSION = "1.24"
# What `docker-daemon:` of skopeo, podman and buildah asks for, up to 2024, and never negotiates: only load and get.
_SKOPEO_API_VERSION = "1.22"

_VERSIONED = re.compile(r"^/v(\d+\.\d+)(/.*)$")


def requested_version(request: web.Request) -> tuple[int, int]:
    """The API version a client asked for in the URL, or the newest this daemon speaks."""
    match = _VERSIONED.match(request.rel_url.raw_path)
    return version_tuple(match[1] if match else API_VERSION)


def version_tuple(text: str) -> tuple[int, int]:
    """`"1.41"` → `(1, 41)`."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def check_version(request: web.Request) -> None:
    """Refuse a version outside the supported range in Docker's words.

    Raises:
        InvalidParameter: the client is too old or too new.
    """
    match = _VERSIONED.match(request.rel_url.raw_path)
    if match is None:
        return
    asked = version_tuple(match[1])
    if asked > version_tuple(API_VERSION):
        raise InvalidParameter(f"client version {match[1]} is too new. Maximum supported API version is {API_VERSION}")
    if asked < version_tuple(MIN_API_VERSION) and match[1] != _SKOPEO_API_VERSION:
        raise InvalidParameter(
            f"client version {match[1]} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )


class VersionedRouter(web.UrlDispatcher):
    """A router that looks routes up without the version, so that each is written once."""

    async def resolve(self, request: web.Request) -> AbstractMatchInfo:  # type: ignore[override]
        """Match the path behind the version prefix."""
        match = _VERSIONED.match(request.rel_url.raw_path)
        if match is not None:
            url = request.rel_url.with_path(match[2], encoded=True, keep_query=True)
            return await super().resolve(request.clone(rel_url=url))
        return await super().resolve(request)
