"""Pulling from and pushing to registries: where they are, and as whom we come.

The work is in pull.py and push.py, HTTP in session.py. Source: distribution-spec
1.1; moby registry/ for mirrors, insecure registries and Docker Hub's names.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.registry.certificates import tls_context
from pydock_lab.daemon.registry.credentials import Credentials, find_credentials
from pydock_lab.daemon.registry.fetch import Locks
from pydock_lab.daemon.registry.progress import Progress
from pydock_lab.daemon.registry.pull import Pull
from pydock_lab.daemon.registry.push import Push
from pydock_lab.daemon.registry.refusals import Unreachable
from pydock_lab.daemon.registry.session import RegistrySession, is_loopback
from pydock_lab.daemon.registry.transfers import Transfer, Transfers
from pydock_lab.daemon.rootless.broker import Broker
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.distribution import Distribution
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Forbidden, InvalidParameter, LabError, NotFound, SystemFailure, Unauthorized
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.reference import DEFAULT_DOMAIN, Reference

_HUB = "https://registry-1.docker.io"
# A classroom without a network should not wait three seconds for every FROM.
_REMEMBER_UNREACHABLE_S = 30


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class RegistryClient:
    """The daemon's door to all registries."""

    def __init__(
        self,
        config: DaemonConfig,
        blobs: BlobStore,
        layers: LayerStore,
        images: ImageStore,
        database: Database,
        trace: Trace,
    ) -> None:
        self._config = config
        self._make_socket = Broker(config.broker_fd).make_socket if config.broker_fd is not None else None
        self._blobs = blobs
        self._layers = layers
        self._images = images
        self._trace = trace
        self.transfers = Transfers()
        self.distribution = Distribution(database, blobs, layers, images)
        self._locks = Locks()
        self._unreachable: dict[str, tuple[float, Unreachable]] = {}

    async def pull(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> tuple[Image, str]:
        """Fetch an image; return it with the digest that the reference names. Tags nothing.

        Args:
            reference: Tag or digest.
            platform: None for this machine's.
            credentials: None for those that `docker login` left.
            progress: Gets Docker's JSON progress documents.
            asked: The client's request, for the record.

        Raises:
            Unreachable: no mirror and no registry answers.
            NotFound, SystemFailure, InvalidParameter: in Docker's words.
        """
        with self.transfers.record("pull", reference.familiar, asked) as transfer:
            return await self._pull(reference, platform, credentials, progress, transfer)

    async def _pull(
        self,
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
        transfer: Transfer,
    ) -> tuple[Image, str]:
        mirrors = list(self._config.registry_mirrors) if reference.domain == DEFAULT_DOMAIN else []
        for mirror in mirrors:
            try:
                base = mirror.rstrip("/")
                return await self._pull_from([base], reference, platform, Credentials(), progress, transfer)
            except LabError as error:
                self._trace.emit("registry", "mirror.failed", mirror, error=error.message)
        known = credentials or await find_credentials(reference.domain)
        try:
            return await self._pull_from(self._bases(reference.domain), reference, platform, known, progress, transfer)
        except Forbidden as error:
            raise NotFound(
                f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
                f"'docker login': {error.message}"
            ) from None
        except Unauthorized as error:  # 401 would make the CLI ask for a password, in the middle of a script
            raise SystemFailure(error.message, hint=error.hint) from None

    async def tags(self, reference: Reference, credentials: Credentials | None = None) -> list[str]:
        """Ask a registry for all tags of a repository, page by page.

        Raises:
            NotFound: `repository NAME not found: …`.
            Unreachable, SystemFailure, Forbidden: in Docker's words.
        """
        known = credentials or await find_credentials(reference.domain)
        found: list[str] = []
        path = "tags/list"
        with self.transfers.record("tags", reference.familiar_name) as transfer:
            async with self._session(self._bases(reference.domain), reference, known, transfer) as session:
                while path:
                    try:
                        raw, response = await session.read(path)
                        found += msgspec.json.decode(raw, type=_Tags).tags or []
                        path = str(response.links["next"]["url"]) if "next" in response.links else ""
                    except msgspec.DecodeError as error:
                        raise InvalidParameter(f"invalid list of tags: {error}") from None
                    except Unauthorized as error:
                        raise SystemFailure(f'Get "{session.url(path)}": {error.message}', hint=error.hint) from None
                    except NotFound as error:
                        raise NotFound(f"repository {reference.familiar_name} not found: {error.message}") from None
        return found

    async def push(
        self,
        reference: Reference,
        image: Image,
        *,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> tuple[str, int]:
        """Send an image under a tag; return its manifest's digest and size.

        Raises:
            Unreachable, Unauthorized, Forbidden: in Docker's words.
        """
        known = credentials or await find_credentials(reference.domain)
        bases = self._bases(reference.domain)
        with self.transfers.record("push", reference.familiar, asked) as transfer:
            async with self._session(
                bases, reference, known, transfer, actions="pull,push", progress=progress
            ) as session:
                push = Push(
                    session,
                    reference,
                    image,
                    progress,
                    blobs=self._blobs,
                    layers=self._layers,
                    distribution=self.distribution,
                )
                return await push.run()

    async def login(self, domain: str, credentials: Credentials) -> None:
        """Ask a registry whether it takes the credentials. Raises Unauthorized, Unavailable."""
        with self.transfers.record("login", domain) as transfer:
            async with self._session(self._bases(domain), Reference(domain, ""), credentials, transfer) as session:
                try:
                    async with session.request("GET", "/v2/", ok=(200, 401)) as response:
                        status, url = response.status, response.url
                except Unauthorized as error:
                    raise Unauthorized(f'Get "{session.base}/v2/": {error.message}') from None
        if status == 401:
            raise Unauthorized(f"login attempt to {url} failed with status: 401 Unauthorized")

    async def distribution_inspect(
        self, reference: Reference, credentials: Credentials | None = None
    ) -> dict[str, Any]:
        """Ask a registry about an image without pulling it (`GET /distribution/…/json`)."""
        known = credentials or await find_credentials(reference.domain)
        with self.transfers.record("inspect", reference.familiar) as transfer:
            async with self._session(self._bases(reference.domain), reference, known, transfer) as session:
                return await self._make_pull(session, reference, None, lambda _: None).describe()

    async def _pull_from(
        self,
        bases: list[str],
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials,
        progress: Progress,
        transfer: Transfer,
    ) -> tuple[Image, str]:
        key = bases[0]
        if (known := self._unreachable.get(key)) and time.monotonic() - known[0] < _REMEMBER_UNREACHABLE_S:
            raise known[1]
        try:
            async with self._session(bases, reference, credentials, transfer, progress=progress) as session:
                return await self._make_pull(session, reference, platform, progress).run()
        except Unreachable as error:
            if not is_loopback(reference.domain):
                self._unreachable[key] = (time.monotonic(), error)
            raise

    def _make_pull(
        self, session: RegistrySession, reference: Reference, platform: Platform | None, progress: Progress
    ) -> Pull:
        return Pull(
            session,
            reference,
            platform,
            progress,
            blobs=self._blobs,
            layers=self._layers,
            images=self._images,
            distribution=self.distribution,
            locks=self._locks,
        )

    def _session(
        self,
        bases: list[str],
        reference: Reference,
        credentials: Credentials,
        transfer: Transfer,
        *,
        actions: str = "pull",
        progress: Progress = lambda _: None,
    ) -> RegistrySession:
        return RegistrySession(
            bases,
            reference.path,
            credentials,
            self._trace,
            transfer,
            actions=actions,
            tell=lambda text: progress({"status": text}),
            tls=tls_context(reference.domain, verify=len(bases) == 1, root=self._config.certificates_root),
            make_socket=self._make_socket,
        )

    def _bases(self, domain: str) -> list[str]:
        """Where a registry may be: one that is insecure is tried without TLS too."""
        if domain == DEFAULT_DOMAIN:
            return [_HUB]
        if is_loopback(domain) or domain in self._config.insecure_registries:
            return [f"https://{domain}", f"http://{domain}"]
        return [f"https://{domain}"]
