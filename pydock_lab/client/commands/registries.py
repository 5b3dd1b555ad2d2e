"""Registries: `login`, `logout`, `search`. Source: docker/cli cli/command/registry."""

from __future__ import annotations

from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.list import ellipsis
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table
from pydock_lab.client.credentials import DOCKER_HUB, Credentials, Login, server_of

_SEARCH = Table(
    {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"},
    ("Name", "Description", "StarCount", "IsOfficial"),
    "*formatter.SearchContext",
    quiet="Name",
)
_DESCRIPTION_WIDTH = 45


def login(arguments: Arguments, session: Session) -> Result:
    """Check a user's name and password with a registry and remember them."""
    server = _server(arguments)
    credentials = Credentials(session.connection.config)
    user, password = arguments.text("username"), arguments.text("password")
    if password:
        if arguments.on("password-stdin"):
            raise CommandError("conflicting options: cannot specify both --password and --password-stdin")
        session.say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", "stderr")
    if arguments.on("password-stdin"):
        if not user:
            raise CommandError("the --password-stdin option requires --username to be set")
        password = session.stdin.read().decode().rstrip("\r\n") if session.stdin else ""
    known = None if user or password else credentials.get(server)
    if known is not None:
        session.say(f"Authenticating with existing credentials... [Username: {known.username}]\n")
        session.say(" Info -> To login with a different account, run 'docker logout' followed by 'docker login'\n\n")
        user, password = known.username, known.password
    if not user or not password:
        user, password = _asked(session, user)
    answer = _check(session, Login(server, user, password))
    token = str(answer.get("IdentityToken") or "")
    credentials.store(Login(server, user, password, token))
    if known is None and not credentials.helper(server):
        session.say(
            f"\nWARNING! Your credentials are stored unencrypted in '{session.connection.config.path}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n",
            "stderr",
        )
    return Result(text=str(answer.get("Status") or "Login Succeeded"), names=(server,))


def logout(arguments: Arguments, session: Session) -> Result:
    """Forget a registry's user and password."""
    server = _server(arguments)
    session.say(f"Removing login credentials for {server}")
    Credentials(session.connection.config).erase(server)
    return Result(names=(server,))


def search(arguments: Arguments, session: Session) -> Result:
    """Search Docker Hub for images."""
    query: dict[str, Any] = {
        "term": arguments.positional[0],
        "limit": arguments.number("limit") or None,
        "filters": filters_json(arguments),
    }
    found = session.connection.request("GET", "/images/search", query=query).json()
    rows = [
        {
            "Name": image["name"],
            "Description": _described(image, truncate=not arguments.on("no-trunc")),
            "StarCount": str(image["star_count"]),
            "IsOfficial": "[OK]" if image["is_official"] else "",
            "IsAutomated": "",
        }
        for image in found
    ]
    return _SEARCH.result(rows, template=arguments.text("format"))


def _server(arguments: Arguments) -> str:
    if not arguments.positional:
        return DOCKER_HUB
    host = arguments.positional[0].removeprefix("https://").removeprefix("http://").partition("/")[0]
    return server_of(host)


def _check(session: Session, login: Login) -> dict[str, Any]:
    found: dict[str, Any] = session.connection.request("POST", "/auth", login.document()).json()
    return found


def _asked(session: Session, user: str) -> tuple[str, str]:
    """Ask on the user's terminal."""
    if session.stdin is None or session.output.terminal() is None:
        raise CommandError(
            "Error: Cannot perform an interactive login from a non TTY device",
            hint="`echo PASSWORD | docker login -u NAME --password-stdin SERVER` needs no terminal",
        )
    import getpass

    if not user:
        session.output.write("stdout", "Username: ")
        user = session.stdin.readline().decode().strip()
    return user, getpass.getpass("Password: ")


def _described(image: dict[str, Any], *, truncate: bool) -> str:
    text = str(image.get("description") or "").replace("\n", " ").replace("\r", " ")
    return ellipsis(text, _DESCRIPTION_WIDTH) if truncate else text
