"""What a registry's refusal, or its silence, means: errors in Docker's words.

Source: distribution-spec 1.1 "Error Codes", RFC 6750; Go's net and net/http for
what Docker says of a connection. Used by session.py.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket

import aiohttp
import msgspec

from pydock_lab.errors import Forbidden, LabError, NotFound, SystemFailure, Unauthorized, Unavailable

_BARE = {401: "unauthorized: authentication required", 403: "denied: requested access to the resource is denied"}
_ADDRESS = re.compile(r"Connect call failed \('([^']+)', (\d+)")  # asyncio's words
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Unreachable(Unavailable):
    """No registry answers at the address (as against: it answers no)."""

    status = 500  # Docker's


class RateLimited(Unavailable):
    """The registry wants fewer requests."""

    status = 429


class NoCredentials(Unauthorized):
    """The registry asks who we are, and we have nothing to say."""


class BodyTooLarge(SystemFailure):
    """The registry, or a proxy before it, takes no body of this size."""


def unreachable(method: str, url: str, error: Exception) -> Unreachable:
    """Why nobody answered, in the words of Go's net package."""
    if isinstance(error, asyncio.TimeoutError):
        reason = "net/http: request canceled while waiting for connection (Client.Timeout exceeded)"
    elif isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, socket.gaierror):
        reason = f"dial tcp: lookup {error.host}: no such host"
    elif isinstance(error, aiohttp.ClientSSLError):
        reason = f"tls: {error.os_error}"
    elif isinstance(error, aiohttp.ClientProxyConnectionError):
        refusal = os.strerror(error.os_error.errno or 0).lower()
        reason = f"proxyconnect tcp: dial tcp {error.host}:{error.port}: connect: {refusal}"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        reason = error.message or f"the proxy answered {error.status}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = f"dial tcp {_dialled(error)}: connect: {os.strerror(error.os_error.errno or 0).lower()}"
    else:
        reason = str(error) or type(error).__name__
    return Unreachable(f'{method.capitalize()} "{url}": {reason}')


def _dialled(error: aiohttp.ClientConnectorError) -> str:
    """The address behind the name, the last that was tried."""
    host, port = (_ADDRESS.findall(str(error.os_error)) or [(error.host, error.port)])[-1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def malformed(error: aiohttp.ClientError) -> str:
    """What is wrong with an answer that is no HTTP, or leads in a circle."""
    if isinstance(error, aiohttp.TooManyRedirects):
        return "stopped after 10 redirects"
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return f"malformed HTTP response: {text or type(error).__name__}"


def challenge_fields(challenge: str) -> dict[str, str]:
    """Read the fields of a `WWW-Authenticate` header."""
    return dict(_CHALLENGE.findall(challenge))


async def refusal(response: aiohttp.ClientResponse) -> LabError:
    """What the registry's refusal means, with its own words: `code: message`."""
    body = await response.content.read(64 << 10)
    try:
        first = msgspec.json.decode(body)["errors"][0]
        code = str(first.get("code") or "").lower().replace("_", " ")
        text = f"{code}: {first.get('message') or code}"
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError):
        # The answer to a HEAD has no body.
        unexpected = f"received unexpected HTTP status: {response.status} {response.reason or ''}".rstrip()
        text = _BARE.get(response.status, unexpected)
    if response.status == 401 and text.startswith("denied: "):
        return Forbidden(text)
    if response.status == 401:
        # A token was good, but not for this (RFC 6750, 3.1): no login will help.
        if challenge_fields(response.headers.get("WWW-Authenticate", "")).get("error") == "insufficient_scope":
            return Forbidden("denied: requested access to the resource is denied")
        return Unauthorized(text)
    if response.status == 403:
        return Forbidden(text)
    if response.status == 404:
        return NotFound(text)
    if response.status == 429:
        wait = response.headers.get("Retry-After")
        hint = "the registry limits how often it may be asked" + (f"; again in {wait} s" if wait else "")
        return RateLimited(text if "toomany" in text else f"toomanyrequests: {text}", hint=hint)
    return BodyTooLarge(text) if response.status == 413 else SystemFailure(text)
