"""Logins: where `docker login` keeps them, and the headers that carry them to the engine.

In `auths` of the client's configuration, base64 and no more; or with a helper
program, `docker-credential-NAME`, that `credsStore` or `credHelpers` names.
Source: docker/cli cli/config/credentials, docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from typing import Any, NamedTuple

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.config import ClientConfig

DOCKER_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"
_NOT_FOUND = "credentials not found"


class Login(NamedTuple):
    """What one registry is logged in to with.

    Attributes:
        server: As the configuration writes it: a host with its port, or Docker Hub's URL.
        username, password: "" where there is a token instead.
        identity_token: Given by the registry in exchange for the password, or "".
    """

    server: str
    username: str = ""
    password: str = ""
    identity_token: str = ""

    def document(self) -> dict[str, str]:
        """The engine's AuthConfig."""
        found = {"serveraddress": self.server}
        if self.identity_token:
            return found | {"identitytoken": self.identity_token}
        return found | {"username": self.username, "password": self.password}


class Credentials:
    """The logins of one user.

    Args:
        config: The user's configuration.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def get(self, server: str) -> Login | None:
        """Return the login of a registry, or None."""
        if helper := self.helper(server):
            answer = _ask(helper, "get", server)
            if answer is None:
                return None
            document = json.loads(answer)
            user, secret = str(document.get("Username") or ""), str(document.get("Secret") or "")
            return Login(server, identity_token=secret) if user == _TOKEN_USER else Login(server, user, secret)
        auths = self._config.document.get("auths") or {}
        for name, entry in auths.items():
            if server in (name, _host_of(name)):
                return _read(server, entry)
        return None

    def all(self) -> list[Login]:
        """Every login there is."""
        servers = dict.fromkeys(self._config.document.get("auths") or {})
        servers |= dict.fromkeys(self._config.document.get("credHelpers") or {})
        if helper := self._config.text("credsStore"):
            servers |= dict.fromkeys(json.loads(_ask(helper, "list", "") or "{}"))
        return [login for server in servers if (login := self.get(server)) is not None]

    def store(self, login: Login) -> None:
        """Remember a login."""
        auths = dict(self._config.document.get("auths") or {})
        if helper := self.helper(login.server):
            user = _TOKEN_USER if login.identity_token else login.username
            secret = login.identity_token or login.password
            _ask(helper, "store", json.dumps({"ServerURL": login.server, "Username": user, "Secret": secret}))
            auths[login.server] = {}  # Docker leaves the name, without the secret
        else:
            pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
            auths[login.server] = {"auth": pair}
            if login.identity_token:
                auths[login.server]["identitytoken"] = login.identity_token
        self._config.change("auths", auths)

    def erase(self, server: str) -> bool:
        """Forget a login; return whether there was one."""
        auths = dict(self._config.document.get("auths") or {})
        names = [name for name in auths if server in (name, _host_of(name))]
        helper = self.helper(server)
        known = bool(names) or (helper != "" and _ask(helper, "get", server) is not None)
        if helper and known:
            _ask(helper, "erase", server)
        for name in names:
            del auths[name]
        if names:
            self._config.change("auths", auths)
        return known

    def helper(self, server: str) -> str:
        """Name of the helper that keeps a registry's login, or "" for the configuration itself."""
        chosen = (self._config.document.get("credHelpers") or {}).get(_host_of(server))
        return str(chosen or self._config.text("credsStore"))


def server_of(domain: str) -> str:
    """The name under which a registry's login is kept: Docker Hub's is a URL."""
    return DOCKER_HUB if domain in _HUB_NAMES else domain


def registry_auth(config: ClientConfig, domain: str) -> str:
    """The header X-Registry-Auth for an image of a registry."""
    login = Credentials(config).get(server_of(domain)) if _has_logins(config) else None
    return _encoded(login.document() if login else {})


def registry_config(config: ClientConfig) -> dict[str, str]:
    """The header X-Registry-Config, with every login: for the images that a Dockerfile begins FROM."""
    logins = Credentials(config).all() if _has_logins(config) else []
    return {"X-Registry-Config": _encoded({login.server: login.document() for login in logins})} if logins else {}


def _has_logins(config: ClientConfig) -> bool:
    return any(config.document.get(key) for key in ("auths", "credsStore", "credHelpers"))


def _encoded(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def _read(server: str, entry: dict[str, str]) -> Login | None:
    if token := entry.get("identitytoken"):
        return Login(server, identity_token=token)
    if not (pair := entry.get("auth")):
        user, password = entry.get("username", ""), entry.get("password", "")
        return Login(server, user, password) if user else None
    try:
        user, _, password = base64.b64decode(pair).decode(errors="replace").partition(":")
    except binascii.Error:
        raise CommandError(f"Error parsing config file: auths of {server}: illegal base64 data") from None
    return Login(server, user, password.rstrip("\0"))


def _host_of(name: str) -> str:
    """`https://host:port/v1/` → `host:port`."""
    if name == DOCKER_HUB:
        return name
    return name.partition("://")[2].partition("/")[0] if "://" in name else name.partition("/")[0]


def _ask(helper: str, action: str, text: str) -> str | None:
    """Run a helper; None where it has no such login, or is not there to be asked.

    Raises:
        CommandError: it failed, or is not there to store anything.
    """
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, action], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        if action != "store":
            return None  # what needs no login works without it, as with Docker's CLI
        message = (
            "Error saving credentials: error storing credentials - err: "
            f'exec: "{program}": executable file not found in $PATH, out: ``'
        )
        raise CommandError(message, hint="`credsStore` or `credHelpers` in the configuration names it") from None
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout or done.stderr).strip()
    if action in ("get", "erase") and said.startswith(_NOT_FOUND):
        return None
    raise CommandError(f"error {action.rstrip('e')}ing credentials - err: exit status {done.returncode}, out: `{said}`")
