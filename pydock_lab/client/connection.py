"""Find or start an engine and talk to it.

Which engine: `-H`, else `--context`, else DOCKER_HOST, DOCKER_CONTEXT and the
context in use (a real Docker works too, without the explanations); where none of
them names one it is the user's own daemon, started on first use. Making a
Connection costs nothing: nothing is read, imported or started before the first
command needs it. The commands speak to the engine through `request`; docker-py,
which learners meet outside, is `client`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydock_lab import paths
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.config import ClientConfig
from pydock_lab.client.daemon_start import ensure_daemon, listens
from pydock_lab.client.hijack import HijackedStream, hijack
from pydock_lab.client.wire import Endpoint, Response, TLSFiles, exchange
from pydock_lab.errors import NotImplementedYet, Unavailable
from pydock_lab.spec.agents import ONLOOKER

if TYPE_CHECKING:
    import docker

    from pydock_lab.client.contexts import ContextStore
    from pydock_lab.client.lesson.ledger import Ledger
    from pydock_lab.client.lesson.witness import Noted

API_VERSION = "1.50"
"""The newest version of Docker's API the commands know; an older engine is spoken to in its own."""

_NOT_OURS = "this engine is a real Docker: it runs containers, but keeps no record to explain them with"
_NOT_OURS_HINT = "unset DOCKER_HOST (and leave out -H) to use pydock_lab's own engine"


class Connection:
    """A connection to one engine, made on first use.

    Args:
        host: `unix:///path`, `tcp://host:port`, or None for the context's.
        context: Name of a context, or None for the one in use.
        tls: For `host` and DOCKER_HOST; None for what DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH say.
        config: Directory of the client's configuration, or None for the user's.
        environment: Where those variables are looked up.
        lesson: Name of the lesson whose ledger notes what is made through this connection; "" for none.
        looks_on: For a view that follows the engine; `%lab requests` leaves its requests out.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        context: str | None = None,
        tls: TLSFiles | None = None,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
        lesson: str = "",
        looks_on: bool = False,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._host = host
        self._context = context
        self._tls = tls
        self._client: docker.DockerClient | None = None
        self._pinged: tuple[str, bool] | None = None
        self.config = ClientConfig(config, self._environment)
        self._lesson = lesson
        self._headers = {"User-Agent": ONLOOKER} if looks_on else {}

    @property
    def contexts(self) -> ContextStore:
        """The user's contexts."""
        from pydock_lab.client.contexts import ContextStore

        return ContextStore(self.config, self._environment)

    @property
    def context(self) -> str:
        """Name of the context in use; a host named by hand is the default one's."""
        if self._host or (self._environment.get("DOCKER_HOST") and not self._context):
            return "default"
        return (
            self._context or self._environment.get("DOCKER_CONTEXT") or self.config.text("currentContext") or "default"
        )

    @cached_property
    def _named(self) -> Endpoint | None:
        """The engine that was named somehow, or None for the user's own."""
        if (context := self.context) != "default":
            return self.contexts.get(context).endpoint()
        host = self._host or self._environment.get("DOCKER_HOST")
        if not host:
            return None
        return Endpoint(host, None if host.startswith("unix://") else self._tls or _tls_of(self._environment))

    @property
    def endpoint(self) -> Endpoint:
        """Where the engine listens; starts the user's daemon if it is that one."""
        return self._named or Endpoint(f"unix://{ensure_daemon()}")

    @property
    def address(self) -> str:
        """The engine's address; starts the user's daemon if it is that one."""
        return self.endpoint.address

    @property
    def client(self) -> docker.DockerClient:
        """docker-py's client.

        Raises:
            Unavailable: nobody answers there, in Docker's words.
        """
        endpoint = self.endpoint
        if self._client is None:
            self._ping(endpoint)  # docker-py would wait, and say less
            self._client = _docker_client(endpoint)
        return self._client

    @property
    def is_named(self) -> bool:
        """Whether an engine was named somehow; otherwise it is the user's own daemon."""
        return self._named is not None

    @cached_property
    def ledger(self) -> Ledger | None:
        """What the lesson made in this engine; None where there is no lesson."""
        from pydock_lab.client.lesson.ledger import Ledger

        return Ledger(self._lesson, self.address) if self._lesson else None

    @property
    def is_up(self) -> bool:
        """Whether the engine can be asked without starting it; one that was named is taken to be up."""
        return self.is_named or listens(paths.socket_path())

    @property
    def is_own(self) -> bool:
        """Whether the engine is the user's own daemon, which is started on first use."""
        return self._named is None

    @property
    def is_lab(self) -> bool:
        """Whether the engine is pydock_lab's own, with routes under /lab/."""
        return self._ping(self.endpoint)[1]

    @property
    def api_version(self) -> str:
        """The version of the API that both sides know: `1.47`."""
        return self._ping(self.endpoint)[0]

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Response:
        """Ask the engine.

        Args:
            method: `GET`, `POST`, …
            path: Without the version: `/containers/ID/wait`; not quoted.
            document: JSON body, or None.
            body: Bytes or pieces of bytes instead of a document.
            stream: The body is read as it comes; close the response, or read it to its end.
            headers: More headers.
            query: Parameters of the URL; a list repeats its parameter, booleans become 1 or 0, None is left out.

        Raises:
            EngineError: the engine answered with an error.
            Unavailable: nobody answers there.
        """
        endpoint = self.endpoint
        noted = self._watched(path, document, query) if method == "POST" and self._lesson else None
        more = self._headers | dict(headers or {})
        if document is not None:
            body = json.dumps(document).encode()
            more["Content-Type"] = "application/json"
        target = f"/v{self._ping(endpoint)[0]}{quote(path)}{_parameters(query)}"
        response = self._exchange(endpoint, method, target, body=body, headers=more)
        if not stream:
            response.loaded()
        if noted is not None:
            noted(response)
        return response

    def hijack(self, path: str, document: dict[str, Any] | None = None, **query: str | int) -> HijackedStream:
        """POST to the API and take the connection over (attach, exec start).

        Args:
            path: Without the version: `/containers/ID/attach`; not quoted.
            document: JSON body, or None.
            query: Parameters of the URL.

        Raises:
            EngineError: the engine answered with an error.
        """
        endpoint = self.endpoint
        try:
            return hijack(endpoint, f"/v{self._ping(endpoint)[0]}{quote(path)}{_parameters(query)}", document)
        except OSError as error:
            raise self._nobody(endpoint.address, error) from error

    def lab(self, path: str, **query: str) -> Any:
        """Return the document at `/lab/PATH`.

        Raises:
            Unavailable: the engine is a real Docker.
            EngineError: the engine answered with an error.
        """
        return self.lab_request("GET", path, query=query).json()

    def lab_stream(self, path: str, **query: str) -> Iterator[Any]:
        """Yield the documents of a stream under `/lab/`, one JSON document a line, as they come."""
        with self.lab_request("GET", path, query=query, stream=True) as response:
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)

    def lab_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        document: Mapping[str, Any] | None = None,
        stream: bool = False,
    ) -> Response:
        """Ask for `/lab/PATH`, with a JSON document where one is given; see `lab` and `request`."""
        endpoint = self.endpoint
        if not self._ping(endpoint)[1]:
            raise Unavailable(_NOT_OURS, hint=_NOT_OURS_HINT)
        target = f"/lab/{quote(path.lstrip('/'))}"
        try:
            body = None if document is None else json.dumps(document).encode()
            response = self._exchange(endpoint, method, target + _parameters(query), body=body)
        except EngineError as error:
            if error.status_code == 404 and error.explanation == "page not found":
                raise NotImplementedYet(f"this engine has no {target}") from error
            raise
        return response if stream else response.loaded()

    def close(self) -> None:
        """Close what is open; the daemon goes on."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _watched(self, path: str, document: Any, query: Mapping[str, Any] | None) -> Noted | None:
        from pydock_lab.client.lesson.witness import watch

        assert self.ledger is not None
        return watch(self, self.ledger, path, document, query)

    def _ping(self, endpoint: Endpoint) -> tuple[str, bool]:
        """Return the version of the API to speak, and whether the engine is ours; asked once."""
        if self._pinged is None:
            with self._exchange(endpoint, "GET", "/_ping") as answer:
                version = answer.header("Api-Version") or API_VERSION
                ours = answer.header("Server").startswith("pydock_lab/")
            self._pinged = min(version, API_VERSION, key=lambda text: [int(part) for part in text.split(".")]), ours
        return self._pinged

    def _exchange(self, endpoint: Endpoint, method: str, target: str, **more: Any) -> Response:
        try:
            return exchange(endpoint, method, target, **more)
        except OSError as error:
            raise self._nobody(endpoint.address, error) from error

    def _nobody(self, address: str, error: OSError) -> CommandError | Unavailable:
        if isinstance(error, PermissionError):
            return CommandError(
                f"permission denied while trying to connect to the Docker daemon socket at {address}: {error.strerror}"
            )
        if type(error).__name__.startswith("SSL"):
            return CommandError(f"error during connect: {error}")
        return Unavailable(
            f"Cannot connect to the Docker daemon at {address}. Is the docker daemon running?",
            hint=None if self._named is None else f"DOCKER_HOST or -H names this address; {_NOT_OURS_HINT}",
        )


def _parameters(query: Mapping[str, Any] | None) -> str:
    given = {
        name: int(value) if isinstance(value, bool) else value
        for name, value in (query or {}).items()
        if value is not None
    }
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _tls_of(environment: Mapping[str, str]) -> TLSFiles | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not environment.get("DOCKER_TLS"):
        return None
    folder = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    ca, cert, key = (str(path) if (path := folder / f"{name}.pem").is_file() else "" for name in ("ca", "cert", "key"))
    return TLSFiles(ca, cert, key, verify)


def _docker_client(endpoint: Endpoint) -> docker.DockerClient:
    import docker

    tls: Any = None
    if files := endpoint.tls:
        pair = (files.cert, files.key) if files.cert else None
        tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=files.ca or None, verify=files.verify)
    # No time limit: a build or a stop may be silent for as long as it takes.
    return docker.DockerClient(base_url=endpoint.address, tls=tls, timeout=None)
