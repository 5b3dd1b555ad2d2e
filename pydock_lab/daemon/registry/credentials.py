"""Who a registry is to think we are: `X-Registry-Auth`, and what `docker login` left behind.

Source: Docker Engine API 1.47 "Authentication"; docker/cli config files and the
credential helper protocol (docker/docker-credential-helpers).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

_HUB_KEYS = ("https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER_PATIENCE_S = 10


@dataclass(frozen=True)
class Credentials:
    """A user's name and password, or a token that stands for them."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Credentials:
        """Read Docker's AuthConfig."""
        username, password = str(document.get("username") or ""), str(document.get("password") or "")
        if not username and document.get("auth"):
            username, _, password = _decode(str(document["auth"])).partition(":")
        return cls(
            username,
            password,
            str(document.get("identitytoken") or ""),
            str(document.get("registrytoken") or ""),
        )

    @classmethod
    def from_header(cls, value: str) -> Credentials:
        """Read `X-Registry-Auth`: base64url of an AuthConfig; what can't be read is nobody, as with Docker."""
        if not value:
            return cls()
        try:
            document = msgspec.json.decode(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        except (binascii.Error, ValueError, msgspec.DecodeError):
            return cls()
        return cls.of(document) if isinstance(document, dict) else cls()


async def find_credentials(domain: str, config: Path | None = None) -> Credentials:
    """Look a registry up in the daemon user's own `docker login` file, credential helpers included.

    Args:
        domain: `docker.io`, `localhost:5000`.
        config: The file, or None for the usual place.
    """
    path = config or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return Credentials()
    if not isinstance(document, dict):
        return Credentials()
    keys = _HUB_KEYS if domain == "docker.io" else (domain, f"https://{domain}", f"http://{domain}")
    for key in keys:
        helper = (document.get("credHelpers") or {}).get(key) or document.get("credsStore")
        if helper and (found := await _ask_helper(str(helper), key)):
            return found
        if entry := (document.get("auths") or {}).get(key):
            return Credentials.of(entry)
    return Credentials()


async def _ask_helper(helper: str, key: str) -> Credentials | None:
    """Run `docker-credential-HELPER get`; None where it has nothing or does not work."""
    if "/" in helper:
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        output, _ = await asyncio.wait_for(process.communicate(key.encode()), _HELPER_PATIENCE_S)
        answer = json.loads(output)
        name, secret = str(answer["Username"]), str(answer["Secret"])
    except (asyncio.TimeoutError, ValueError, KeyError, TypeError):
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Credentials(identity_token=secret) if name == "<token>" else Credentials(name, secret)


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, ValueError):
        return ""
