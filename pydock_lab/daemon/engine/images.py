"""Images as Docker's API knows them: the one door through which api, containers and builder come in.

Documents are made in images_documents.py, removal is in images_removal.py, pulls
in images_pull.py, archives in images_archive.py. Source: moby daemon/images.
"""

from __future__ import annotations

import asyncio
import builtins
import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import IO, Any, TypeVar

import msgspec

from pydock_lab.daemon.builder.draft import Draft
from pydock_lab.daemon.catalog.catalog import Catalog
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.images_documents import ImageDocuments
from pydock_lab.daemon.engine.images_load import ImageLoader
from pydock_lab.daemon.engine.images_pull import ImagePull
from pydock_lab.daemon.engine.images_removal import ImageRemoval, ImageUser, Records
from pydock_lab.daemon.engine.images_save import ImageSaver, Selected
from pydock_lab.daemon.registry.client import RegistryClient
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.daemon.registry.progress import Progress
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.dockerfile import instructions, parser
from pydock_lab.dockerfile.substitution import substitute
from pydock_lab.dockerfile.typed import instruction
from pydock_lab.errors import DockerfileError, InvalidParameter, NotFound
from pydock_lab.spec.platform import Platform
from pydock_lab.spec.reference import DEFAULT_DOMAIN, Reference, is_digest, parse

_CHANGES = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL"),
    *("ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)


_T = TypeVar("_T")


class Images:
    """The images of one daemon.

    Attributes:
        saver: `docker save`.
        loader: `docker load` and `docker import`.
    """

    def __init__(
        self,
        store: ImageStore,
        layers: LayerStore,
        blobs: BlobStore,
        registry: RegistryClient,
        catalog: Catalog,
        events: Events,
        trace: Trace,
    ) -> None:
        self._store = store
        self._layers = layers
        self._registry = registry
        self._events = events
        self._documents = ImageDocuments(store)
        self._removal = ImageRemoval(store, events)
        self._pull = ImagePull(store, registry, catalog, events, trace)
        self.saver = ImageSaver(store, layers)
        self.loader = ImageLoader(store, layers, blobs, registry.distribution)

    def register_users(self, users: Callable[[], Iterable[ImageUser]]) -> None:
        """Let the containers say which images they use."""
        self._removal.users = users

    def resolve(self, name: str) -> Image:
        """Find a local image by reference or id.

        Raises:
            NotFound: `No such image: NAME:TAG`.
            InvalidParameter: the name is none.
        """
        return self._store.resolve(name)

    def leads_to(self, name: str, image_id: str) -> bool:
        """Whether a name still means this image."""
        try:
            return self._store.resolve(name).id == image_id
        except (NotFound, InvalidParameter):
            return False

    def family(self, name: str) -> set[str]:
        """Return the ids of an image and of all that were made from it here. Raises NotFound."""
        found: set[str] = set()
        waiting = [self._store.resolve(name).id]
        while waiting:
            image_id = waiting.pop()
            if image_id not in found:
                found.add(image_id)
                waiting += self._store.children(image_id)
        return found

    def list(
        self,
        filters: Filters | None = None,
        *,
        everything: bool = False,
        shared_size: bool = False,
    ) -> builtins.list[dict[str, Any]]:
        """Return list entries; see ImageDocuments.list."""
        return self._documents.list(filters or Filters(), everything=everything, shared_size=shared_size)

    def usage(self) -> dict[str, Any]:
        """Return all images with what they share, and the bytes of all layers (`docker system df`)."""
        return {"LayersSize": self._layers.total_size(), "Images": self.list(shared_size=True)}

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the inspect document. Raises NotFound."""
        return self._documents.inspect(self._resolve_or_missing(name))

    def history(self, name: str) -> builtins.list[dict[str, Any]]:
        """Return the history, newest step first. Raises NotFound."""
        return self._documents.history(self._resolve_or_missing(name))

    def tag(self, name: str, repository: str, tag: str = "") -> None:
        """Give an image one more name.

        Raises:
            NotFound, InvalidParameter: in Docker's words.
        """
        image = self._store.resolve(name)
        reference = parse(repository, default_tag=False)
        if reference.digest:
            raise InvalidParameter("refusing to create a tag with a digest reference")
        if reference.familiar_name == "sha256":
            raise InvalidParameter("refusing to create an ambiguous tag using digest algorithm as name")
        if tag:
            reference = parse(f"{reference.name}:{tag}")
        self.name(image, replace(reference, tag=reference.tag or "latest"))

    def name(self, image: Image, reference: Reference) -> None:
        """Point a reference at an image and say so."""
        self._store.tag(str(reference), image.id)
        self._tell(image, "tag", reference.familiar)

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> Records:
        """Remove a reference or an image; see ImageRemoval.remove."""
        records = await asyncio.shield(self._removal.remove(name, force=force, prune=prune))
        await self._sweep(records)
        return records

    async def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """Remove images that nothing uses; see ImageRemoval.prune."""
        report = await asyncio.shield(self._removal.prune(filters or Filters()))
        await self._sweep(report["ImagesDeleted"] or [])
        return report

    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> Image:
        """Fetch an image from a registry, or a stand-in where none answers; see ImagePull.pull."""
        return await self._pull.pull(
            parse(reference),
            platform=Platform.parse(platform) if platform else None,
            credentials=credentials,
            progress=progress,
            asked=asked,
        )

    async def pull_all(
        self,
        repository: str,
        *,
        platform: str | None = None,
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> None:
        """Fetch every tag of a repository; see ImagePull.pull_all."""
        await self._pull.pull_all(
            parse(repository, default_tag=False),
            platform=Platform.parse(platform) if platform else None,
            credentials=credentials,
            progress=progress,
            asked=asked,
        )

    async def push(
        self,
        name: str,
        *,
        tag: str = "",
        credentials: Credentials | None = None,
        progress: Progress,
        asked: str = "",
    ) -> None:
        """Send a tag, or all tags of a repository, to its registry.

        Raises:
            NotFound: there is nothing of that name.
        """
        reference = parse(name, default_tag=False)
        one = tag or reference.tag
        wanted = [replace(reference, tag=one)] if one else self.saver.tags(reference)
        targets = [(each, self._store.target(str(each))) for each in wanted]
        progress({"status": f"The push refers to repository [{reference.name}]"})
        if not self.saver.tags(reference):
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        if any(target is None for _, target in targets):
            raise NotFound(f"tag does not exist: {wanted[0].familiar}")
        for each, target in targets:
            image = self._store.get(target or "")
            digest, size = await self._registry.push(
                each, image, credentials=credentials, progress=progress, asked=asked
            )
            self._store.tag(str(replace(each, tag="", digest=digest)), image.id)
            progress({"status": f"{each.tag}: digest: {digest} size: {size}"})
            progress({"progressDetail": {}, "aux": {"Tag": each.tag, "Digest": digest, "Size": size}})
            self._events.publish("image", "push", each.familiar, image.labels | {"name": each.familiar_name})

    async def resolve_or_pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        progress: Progress | None = None,
        pull: bool = False,
        auth: dict[str, dict[str, str]] | None = None,
    ) -> Image:
        """Return an image that is here, or get it; what `FROM` needs.

        Args:
            reference: A reference or a local image's id.
            platform: `os/arch[/variant]`, or None for this machine's.
            progress: Gets Docker's JSON progress documents.
            pull: Ask the registry even where the image is here.
            auth: Registry host → Docker's AuthConfig.

        Raises:
            LabError: there is no such image anywhere, in Docker's words.
        """
        if not pull:
            try:
                image = self._store.resolve(reference)
            except NotFound:
                pass
            else:
                wanted = Platform.parse(platform) if platform else None
                if wanted is None or wanted.rank(Platform.of(image.config)) is not None or is_digest(reference):
                    return image
        parsed = parse(reference)
        given = next((entry for host, entry in (auth or {}).items() if _host_of(host) == parsed.domain), None)
        return await self.pull(
            str(parsed),
            platform=platform,
            credentials=Credentials.of(given) if given else None,
            progress=progress or (lambda _: None),
        )

    async def login(self, auth: dict[str, Any]) -> None:
        """Check Docker's AuthConfig with its registry. Raises Unauthorized, Unavailable."""
        await self._registry.login(_host_of(auth.get("serveraddress") or DEFAULT_DOMAIN), Credentials.of(auth))

    async def describe_remote(self, name: str, credentials: Credentials | None = None) -> dict[str, Any]:
        """Ask the registry about an image (`docker manifest`, `GET /distribution/…/json`)."""
        return await self._registry.distribution_inspect(parse(name), credentials)

    def transfers(self) -> builtins.list[dict[str, Any]]:
        """Return the latest pulls and pushes, newest first; see registry/transfers.py."""
        return self._registry.transfers.list()

    def transfer(self, transfer_id: str) -> dict[str, Any]:
        """Return one pull or push, request by request. Raises NotFound."""
        found = self._registry.transfers.get(transfer_id)
        if found is None:
            raise NotFound(f"no such transfer: {transfer_id}")
        return found

    async def load(self, archive: IO[bytes], progress: Progress, *, quiet: bool = False) -> None:
        """Add the images of a `docker save` archive or an OCI layout; say which they are in Docker's words.

        Args:
            archive: Read from a worker thread; compressed or not.
            progress: Gets Docker's JSON progress documents, and the lines that say what was loaded.
            quiet: No progress of layers.

        Raises:
            InvalidParameter: it is no such archive, or what it holds is not what it says.
        """
        report = progress if not quiet else (lambda _: None)
        loaded = await self._thread(self.loader.load, archive, self._from_thread(report))
        for image, references in loaded:
            for reference in references:
                before = self._store.target(str(reference))
                if before is not None and before != image.id:
                    text = f"The image {reference.familiar} already exists, renaming the old one with ID {before} "
                    progress({"stream": f"{text}to empty string\n"})
                self._store.tag(str(reference), image.id)
                progress({"stream": f"Loaded image: {reference.familiar}\n"})
            self._tell(image, "load", image.id)
        if loaded and not loaded[-1][1]:  # Docker tells all ids where the last image has no name
            for image, _ in loaded:
                progress({"stream": f"Loaded image ID: {image.id}\n"})
        if not loaded:
            progress({})

    def tell_saved(self, selected: Iterable[Selected]) -> None:
        """Say that an archive of images has gone out."""
        for entry in selected:
            self._tell(entry.image, "save", entry.image.id)

    async def import_tar(
        self,
        tar: IO[bytes],
        reference: Reference | None,
        *,
        message: str,
        changes: builtins.list[str],
        platform: str | None,
    ) -> Image:
        """Make an image of one layer from the tar of a root file system (`docker import`)."""
        wanted = Platform.parse(platform) if platform else Platform.host()
        if wanted.os != "linux":
            raise InvalidParameter("operating system is not supported")
        document = self.changed(self.loader.blank(wanted, message), changes)
        image = await self._thread(self.loader.import_tar, tar, document)
        if reference is not None:
            self.name(image, reference)
        self._tell(image, "import", image.id)
        return image

    def changed(self, document: dict[str, Any], changes: builtins.list[str]) -> dict[str, Any]:
        """Apply `--change` instructions to an image config; return the new one.

        Raises:
            InvalidParameter: an instruction is none, or not one that only changes the config.
        """
        draft = Draft(copy.deepcopy(document))
        for line in changes:
            for parsed in _read_change(line):
                # Only the image's own variables: there are no build arguments here.
                change = substitute(parsed, draft.env, "\\")
                if isinstance(change, instructions.Workdir):
                    draft.set_workdir(change.path)
                else:
                    draft.apply(change)
        return draft.document

    def create(self, document: dict[str, Any], reference: Reference | None, *, parent: str = "") -> Image:
        """Add an image from its config, whose layers are all there, and name it."""
        image = self._store.put(msgspec.json.encode(document), parent=parent)
        if reference is not None:
            self.name(image, reference)
        return image

    def _tell(self, image: Image, action: str, name: str) -> None:
        self._events.publish("image", action, image.id, image.labels | {"name": name})

    async def _thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run something that blocks; it goes on to its end even where the client has gone."""
        return await asyncio.shield(asyncio.to_thread(function, *arguments))

    def _from_thread(self, progress: Progress) -> Progress:
        loop = asyncio.get_running_loop()

        def report(document: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(progress, document)

        return report

    def _resolve_or_missing(self, name: str) -> Image:
        """Where Docker's API says 404 even for a name that can be none."""
        try:
            return self._store.resolve(name)
        except InvalidParameter as error:
            raise NotFound(f"no such image: {name}: {error.message}") from None

    async def _sweep(self, records: Records) -> None:
        if any("Deleted" in record for record in records):
            await asyncio.to_thread(self._registry.distribution.sweep)


def _host_of(key: str) -> str:
    """`https://index.docker.io/v1/` → `docker.io`."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


def _read_change(line: str) -> builtins.list[instructions.Instruction]:
    """Parse one `--change`."""
    found = []
    try:
        for node in parser.parse(line).nodes:
            if node.keyword.upper() not in _CHANGES:
                raise InvalidParameter(f"{node.keyword.lower()} is not a valid change command")
            found.append(instruction(node))
    except DockerfileError as error:  # there is no file and no line to speak of
        raise InvalidParameter(error.message.partition(f" on line {error.line}: ")[2] or error.message) from None
    return found
