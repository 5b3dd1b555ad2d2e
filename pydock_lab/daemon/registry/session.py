"""HTTP with one registry: scheme, credentials, tokens, retries, and errors in Docker's words.

Source: distribution-spec 1.1; distribution/distribution docs (token authentication,
error codes). One session serves one pull or push.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from pydock_lab import __version__
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.daemon.registry.refusals import NoCredentials, challenge_fields, malformed, refusal, unreachable
from pydock_lab.daemon.registry.transfers import Exchange, Transfer
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import InvalidParameter, SystemFailure, Unauthorized, Unavailable

CONNECT_S = 3
_STALL_S = 30
_TRIES = 5
_READ_BUFFER = 512 << 10  # a layer comes in pieces that are worth a thread's while
_BACK_OFF_S = 0.5
_MAX_RETRY_AFTER_S = 10
MAX_DOCUMENT = 4 << 20


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine: spoken to without TLS if need be, as Docker does."""
    name = host.rsplit(":", 1)[0].strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class RegistrySession:
    """A conversation with one registry about one repository.

    Args:
        base: `https://registry-1.docker.io`, or several to be tried in order (`https`, then `http`).
        repository: The path, `library/alpine`; "" to speak about none (login).
        transfer: Takes down every request.
        actions: What tokens are asked for: `pull` or `pull,push`.
        tls: As aiohttp takes it: a context, or whether certificates are verified.
        tell: Gets what the user should know while the session waits.
        make_socket: Rootless, sockets come from the broker, so that the host's loopback is meant by `localhost`.
    """

    def __init__(
        self,
        bases: list[str],
        repository: str,
        credentials: Credentials,
        trace: Trace,
        transfer: Transfer,
        *,
        actions: str = "pull",
        tls: ssl.SSLContext | bool = True,
        tell: Callable[[str], None] = lambda _: None,
        make_socket: Callable[[int, int], socket.socket] | None = None,
    ) -> None:
        self._bases = bases
        self._repository = repository
        self._credentials = credentials
        self._trace = trace
        self._transfer = transfer
        self._tell = tell
        self._scopes = [f"repository:{repository}:{actions}"] if repository else []
        self._authorization: str | None = None
        self._token_lock = asyncio.Lock()
        self._open: dict[aiohttp.ClientResponse, Exchange] = {}
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=_STALL_S)
        self._http = aiohttp.ClientSession(
            timeout=timeout,
            trust_env=not is_loopback(URL(bases[0]).authority),  # as Go: no proxy for this machine
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            headers={"User-Agent": f"docker/{__version__} pydock_lab"},
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=tls,
                socket_factory=(lambda address: make_socket(address[0], address[1])) if make_socket else None,
            ),
        )

    async def __aenter__(self) -> RegistrySession:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.close()

    def add_scope(self, repository: str) -> None:
        """Ask for the right to read another repository too (cross-repository mount)."""
        scope = f"repository:{repository}:pull"
        if scope in self._scopes:
            return
        self._scopes.append(scope)
        # A token says what it is for; basic credentials are for everything.
        if self._authorization is not None and self._authorization.startswith("Bearer "):
            self._authorization = None

    @property
    def base(self) -> str:
        """Where the registry is, as far as it is known: `https://HOST`."""
        return self._bases[0]

    def url(self, path: str) -> str:
        """A URL of the repository: `manifests/latest` → `https://HOST/v2/NAME/manifests/latest`."""
        return f"{self._bases[0]}/v2/{self._repository}/{path}"

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, ok: tuple[int, ...] = (200,), retry: bool = True, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a request and yield its response, authenticated, retried and checked.

        Args:
            method: GET, HEAD, POST, …
            path: Below the repository, or a whole URL (an upload's Location).
            ok: Statuses that are no errors.
            retry: Try again when the connection breaks or the registry says 429 or 5xx; off for a body
                that can't be sent twice.
            **options: aiohttp's: headers, data, params.

        Raises:
            Unreachable, RateLimited, Unauthorized, Forbidden, NotFound, BodyTooLarge, SystemFailure.
        """
        response = await self._persist(method, path, ok, _TRIES if retry else 1, options)
        try:
            yield response
        finally:
            self._release(response)

    async def read(self, path: str, **options: Any) -> tuple[bytes, aiohttp.ClientResponse]:
        """GET a document whole; one that breaks off is asked for again. Return it with its response, for the headers.

        Raises:
            InvalidParameter: it has more than MAX_DOCUMENT bytes.
            Unavailable: it broke off each time.
            LabError: as `request` does.
        """
        for attempt in range(1, _TRIES + 1):
            async with self.request("GET", path, **options) as response:
                try:
                    raw = bytearray()
                    async for chunk in response.content.iter_any():
                        raw += chunk
                        if len(raw) > MAX_DOCUMENT:
                            raise InvalidParameter(f"{path}: larger than {MAX_DOCUMENT >> 20} MiB")
                    return bytes(raw), response
                except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                    if attempt == _TRIES:
                        raise Unavailable(f'Get "{response.url}": unexpected EOF') from error
            await asyncio.sleep(_BACK_OFF_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable: the last try returns or raises")

    async def _persist(
        self, method: str, path: str, ok: tuple[int, ...], tries: int, options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        """Send until the registry gives an answer that stands."""
        for attempt in range(1, tries + 1):
            try:
                response = await self._once(method, path, **options)
            except (aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError, asyncio.TimeoutError) as error:
                final = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError)
                if final or attempt == tries:
                    # Docker asks for /v2/ before anything else.
                    asked = (method, path) if "://" in path else ("GET", f"{self._bases[0]}/v2/")
                    raise unreachable(*asked, error) from error
                await asyncio.sleep(_BACK_OFF_S * 2 ** (attempt - 1))
                continue
            except aiohttp.ClientError as error:  # what came is no HTTP, or leads in a circle
                raise SystemFailure(f'{method.capitalize()} "{self._whole(path)}": {malformed(error)}') from error
            if response.status in ok:
                return response
            try:
                pause = _retry_after(response, attempt)
                may_pass = response.status == 429 or response.status >= 500
                if not may_pass or attempt == tries or pause > _MAX_RETRY_AFTER_S:
                    raise await refusal(response)
            finally:
                self._release(response)
            if response.status == 429:
                self._tell(f"The registry wants fewer requests (429 Too Many Requests): retrying in {pause:g} s")
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _once(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """One request; answers a challenge once."""
        headers = dict(options.pop("headers", {}))
        if self._authorization is None and self._credentials.registry_token:
            self._authorization = f"Bearer {self._credentials.registry_token}"
        sent = self._authorization
        response = await self._send(method, path, headers | _header(sent), options)
        if response.status != 401:
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        self._release(response)
        async with self._token_lock:
            if self._authorization == sent:
                self._authorization = await self._answer(challenge)
        return await self._send(method, path, headers | _header(self._authorization), options)

    async def _send(
        self, method: str, path: str, headers: dict[str, str], options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        """Send to the first base that speaks; from then on only to that one."""
        while True:
            base = self._bases[0]
            url = self._whole(path)
            exchange = self._begin(method, url, headers, options)
            try:
                response = await self._http.request(method, url, headers=headers, **options)
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ClientHttpProxyError,
                aiohttp.ServerDisconnectedError,
                ssl.SSLError,
            ):
                if self._bases == [base] or "://" in path:
                    raise
                if self._bases[0] == base:  # not yet given up by a request at the same time
                    self._bases.pop(0)
                continue
            if self._bases[0] == base:
                del self._bases[1:]
            exchange.status = response.status
            self._open[response] = exchange
            return response

    def _whole(self, path: str) -> str:
        """A path below the repository, or from the root, or a whole URL: as a whole URL."""
        return path if "://" in path else urljoin(self.url(""), path) if path.startswith("/") else self.url(path)

    async def _answer(self, challenge: str) -> str:
        """Turn a challenge into an Authorization header.

        Raises:
            Unauthorized: nothing we have will do.
        """
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._credentials.username:
            return self._basic()
        fields = challenge_fields(rest)
        if scheme.lower() != "bearer" or "realm" not in fields:
            raise NoCredentials("no basic auth credentials", hint="docker login first")
        return f"Bearer {await self._token(fields['realm'], fields.get('service', ''))}"

    async def _token(self, realm: str, service: str) -> str:
        scope = " ".join(self._scopes)
        exchange = self._begin("POST" if self._credentials.identity_token else "GET", realm, {}, {})
        exchange.subject = "token"
        if self._credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self._credentials.identity_token,
                "service": service,
                "scope": scope,
                "client_id": "pydock_lab",
            }
            response = await self._http.post(realm, data=form)
        else:
            headers = _header(self._basic() if self._credentials.username else None)
            query = [("service", service), *(("scope", text) for text in self._scopes)]
            response = await self._http.get(realm, params=query, headers=headers)
        exchange.status = response.status
        self._open[response] = exchange
        try:
            if response.status != 200:
                raise await refusal(response)
            document = msgspec.json.decode(await response.read())
        except (msgspec.DecodeError, aiohttp.ClientPayloadError) as error:
            raise SystemFailure(f"unable to decode token response: {error}") from None
        finally:
            self._release(response)
        token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
        if not token:
            raise Unauthorized("authorization server did not include a token in the response")
        return str(token)

    def _begin(self, method: str, url: str, headers: dict[str, str], options: dict[str, Any]) -> Exchange:
        parsed = URL(url, encoded=True)
        exchange = self._transfer.begin(parsed.authority, method, parsed.raw_path)
        data = options.get("data")
        exchange.sent = len(data) if isinstance(data, bytes) else int(headers.get("Content-Length", "0"))
        return exchange

    def _release(self, response: aiohttp.ClientResponse) -> None:
        """Let a response go and take down what it came to."""
        exchange = self._open.pop(response, None)
        if exchange is not None:
            exchange.received = response.content.total_bytes
            self._transfer.end(exchange)
            self._trace.emit(
                "registry",
                "registry.answered",
                self._repository,
                transfer=self._transfer.id,
                method=exchange.method,
                url=str(response.url.with_query(None)),
                status=exchange.status,
                sent=exchange.sent,
                received=exchange.received,
                duration_ns=exchange.duration_ns,
            )
        response.release()

    def _basic(self) -> str:
        pair = f"{self._credentials.username}:{self._credentials.password}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _header(authorization: str | None) -> dict[str, str]:
    return {"Authorization": authorization} if authorization else {}


def _retry_after(response: aiohttp.ClientResponse, attempt: int) -> float:
    """Seconds to wait, by the registry's own word if it has one."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, round(parsedate_to_datetime(text).timestamp() - time.time(), 1))
    except (ValueError, TypeError):
        return _BACK_OFF_S * 2.0 ** (attempt - 1)
