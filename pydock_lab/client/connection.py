"""Find or start an engine and talk to it.

`DOCKER_HOST` names the engine where it is set (a real Docker works too, without
the explanations); otherwise it is the user's own daemon, started on first use.
Making a Connection costs nothing: docker-py is imported and the daemon started
when the first command needs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydock_lab.client.daemon_start import ensure_daemon, listens
from pydock_lab.client.hijack import HijackedStream, hijack, open_socket
from pydock_lab.errors import NotImplementedYet, Unavailable

if TYPE_CHECKING:
    import docker
    import requests

_NOT_OURS = "this engine is a real Docker: it runs containers, but keeps no record to explain them with"
_NOT_OURS_HINT = "unset DOCKER_HOST (and leave out -H) to use pydock_lab's own engine"


class Connection:
    """A connection to one engine, made on first use.

    Args:
        host: `unix:///path`, `tcp://host:port`, or None for DOCKER_HOST, else the user's own daemon.
        environment: Where DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are looked up.
    """

    def __init__(self, host: str | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._host = host or self._environment.get("DOCKER_HOST") or None
        self._client: docker.DockerClient | None = None
        self._address = self._host or ""
        self._tls: Any = None
        self._is_lab: bool | None = None

    @property
    def address(self) -> str:
        """The engine's address; starts the user's daemon if it is that one."""
        if self._host is None:
            self._address = f"unix://{ensure_daemon()}"
        return self._address

    @property
    def client(self) -> docker.DockerClient:
        """docker-py's client.

        Raises:
            Unavailable: nobody answers there, in Docker's words.
        """
        address = self.address
        if self._client is None:
            self._client = self._connect(address)
        return self._client

    @property
    def is_lab(self) -> bool:
        """Whether the engine is pydock_lab's own, with routes under /lab/."""
        if self._is_lab is None:
            api = self.client.api
            self._is_lab = api.get(f"{api.base_url}/_ping").headers.get("Server", "").startswith("pydock_lab/")
        return self._is_lab

    def lab(self, path: str, **query: str) -> Any:
        """Return the document at `/lab/PATH`.

        Raises:
            Unavailable: the engine is a real Docker.
            docker.errors.APIError: the engine answered with an error.
        """
        return self._lab_response(path, query, stream=False).json()

    def lab_stream(self, path: str, **query: str) -> Iterator[Any]:
        """Yield the documents of a stream under `/lab/`, one JSON document a line, as they come."""
        import json

        with self._lab_response(path, query, stream=True) as response:
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)

    def hijack(self, path: str, document: dict[str, Any] | None = None, **query: str | int) -> HijackedStream:
        """POST to the API and take the connection over (attach, exec start).

        Args:
            path: Without the version: `/containers/ID/attach`.
            document: JSON body, or None.
            query: Parameters of the URL.
        """
        version = self.client.api.api_version
        target = f"/v{version}{path}" + (f"?{urlencode(query)}" if query else "")
        return hijack(open_socket(self.address, self._tls), target, document)

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        body: Any = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        """Make a request that docker-py has no method for.

        Args:
            method: `GET`, `POST`, …
            path: Without the version: `/containers/ID/wait`.
            document: JSON body, or None.
            body: Bytes or an iterable of bytes instead of a document.
            stream: Return when the headers are there; the body comes as it is read.
            headers: More headers.
            query: Parameters of the URL; a list repeats its parameter, booleans become 1 or 0, None is left out.

        Raises:
            docker.errors.APIError: the engine answered with an error.
        """
        api = self.client.api
        parameters = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in (query or {}).items()
            if value is not None
        }
        response: requests.Response = api.request(
            method,
            f"{api.base_url}/v{api.api_version}{quote(path)}",
            params=parameters,
            json=document,
            data=body,
            stream=stream,
            headers=dict(headers or {}),
            timeout=None,
        )
        _raise_for_status(response)
        return response

    def close(self) -> None:
        """Close what is open; the daemon goes on."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self, address: str) -> docker.DockerClient:
        import docker
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env

        keywords: dict[str, Any] = {"base_url": address}
        if not address.startswith("unix://"):
            keywords = kwargs_from_env({**self._environment, "DOCKER_HOST": address})
            self._tls = keywords.get("tls") or None
        elif not listens(Path(address.removeprefix("unix://"))):
            raise self._nobody(address)
        try:
            # No time limit: a build or a stop may be silent for as long as it takes.
            return docker.DockerClient(**keywords, timeout=None)
        except DockerException as error:
            raise self._nobody(address) from error

    def _nobody(self, address: str) -> Unavailable:
        return Unavailable(
            f"Cannot connect to the Docker daemon at {address}. Is the docker daemon running?",
            hint=None if self._host is None else f"DOCKER_HOST or -H names this address; {_NOT_OURS_HINT}",
        )

    def _lab_response(self, path: str, query: Mapping[str, str], *, stream: bool) -> requests.Response:
        if not self.is_lab:
            raise Unavailable(_NOT_OURS, hint=_NOT_OURS_HINT)
        api = self.client.api
        url = f"{api.base_url}/lab/{path.lstrip('/')}"
        response: requests.Response = api.get(url, params=dict(query), stream=stream, timeout=None)
        if response.status_code == 404 and "page not found" in response.text:
            raise NotImplementedYet(f"this engine has no /lab/{path.lstrip('/')}")
        _raise_for_status(response)
        return response


def _raise_for_status(response: requests.Response) -> None:
    import requests
    from docker.errors import create_api_error_from_http_exception

    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
