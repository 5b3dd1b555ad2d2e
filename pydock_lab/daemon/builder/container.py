"""The transient container of a RUN step: no record, no name, gone when its process is.

Its writable directory becomes the step's layer. So that the mount points of
/dev, /proc, /etc/hosts and the like don't get into the layer, they lie in a
directory of their own between the image and the writable one (Docker's "init
layer"). Source: moby daemon/initlayer/setup_unix.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.rootfs import Rootfs, WritableRootfs
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.network import etcfiles, resolver
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.daemon.network.names import Customs
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import Attachment, Exit, LaunchRequest, Log, OverlayRoot
from pydock_lab.errors import LabError
from pydock_lab.spec.ids import fresh_id

_FRAME = struct.Struct(">BxxxI")
_READ = 64 << 10
_DIRECTORIES = ("/dev/pts", "/dev/shm", "/proc", "/sys")
_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/console")
_MTAB = "/etc/mtab"
PIPES = "/dev/pipes"

Write = Callable[[int, bytes], Awaitable[None]]


@dataclass(frozen=True)
class RunSettings:
    """What a RUN step needs besides the files of its image.

    Attributes:
        args: Argument vector.
        env: `KEY=value` each.
        cwd: Absolute inside the rootfs.
        user: As USER has it.
        network: default, bridge, none, host, container:NAME or a network's name.
        extra_hosts: `name:address` each.
        shm_bytes: 0 for the default.
        resources: OCI `linux.resources`.
        rlimits: (name, soft, hard) each.
        cgroup_parent: Below the cgroup root, or "".
        volumes: Paths that VOLUME named; made where the image lacks them.
        files: Name → content of files shown below /dev/pipes: here-documents that are scripts.
        mounts: OCI mounts of `--mount`.
        mounted_files: Those of their destinations that are files.
        privileged: `--security=insecure`.
    """

    args: list[str]
    env: list[str]
    cwd: str = "/"
    user: str = ""
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    shm_bytes: int = 0
    resources: dict[str, Any] = field(default_factory=dict)
    rlimits: tuple[tuple[str, int, int], ...] = ()
    cgroup_parent: str = ""
    volumes: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    mounts: tuple[oci.Config, ...] = ()
    mounted_files: frozenset[str] = frozenset()
    privileged: bool = False


@dataclass(frozen=True)
class SharedNetwork:
    """The network of a running container, for a RUN step that joins it (`--network container:NAME`).

    Attributes:
        namespace: Path of its network namespace.
        hostname: Its host name.
        files: Directory of its `hostname`, `hosts` and `resolv.conf`: who shares a network shares its names.
    """

    namespace: str
    hostname: str
    files: Path


class StepContainer:
    """One container, used once.

    Args:
        scratch: An existing empty directory on the layers' file system; `upper` appears in it.
        lowers: The image's layers, topmost first.
    """

    def __init__(
        self,
        config: DaemonConfig,
        runtime: Runtime,
        networks: Networks,
        scratch: Path,
        lowers: list[Path],
    ) -> None:
        self.id = fresh_id()
        self.upper = scratch / "upper"
        self._config = config
        self._runtime = runtime
        self._networks = networks
        self._scratch = scratch
        self._lowers = lowers
        self._shared: SharedNetwork | None = None
        self._running = False

    def join(self, shared: SharedNetwork) -> None:
        """Use another container's network instead of one of its own."""
        self._shared = shared

    async def run(self, settings: RunSettings, write: Write) -> Exit:
        """Run the command to its end.

        Args:
            settings: What to run and how.
            write: Takes (1 for stdout or 2 for stderr, bytes) as they come.

        Raises:
            LaunchError: the command could not be started.
        """
        endpoint: Endpoint | None = None
        private = settings.network not in ("none", "host") and self._shared is None
        try:
            if private:
                name = "bridge" if settings.network in ("default", "") else settings.network
                endpoint = await self._networks.allocate(name, self.id)
            request = await finished(asyncio.to_thread(self._prepare, settings, endpoint))
            return await self._run(request, write)
        finally:
            # A canceled build must not be canceled a second time while it cleans up.
            await asyncio.shield(self._clean(endpoint))

    async def _run(self, request: LaunchRequest, write: Write) -> Exit:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_READ)
        try:
            with theirs:
                await self._runtime.attach(self.id, theirs.fileno(), stdin=False, stdout=True, stderr=True, tty=False)
            reading = asyncio.create_task(_read_frames(reader, write))
            try:
                self._running = True
                launched = await self._runtime.launch(request)
                if launched.resolver:
                    servers = etcfiles.ResolvConf.of_host().forwarders()
                    self._networks.names.serve(self.id, launched.resolver, Customs(servers))
                ended = await self._runtime.wait(self.id)
                await reading
                self._running = False
            finally:
                reading.cancel()
            return ended
        finally:
            writer.close()

    async def _clean(self, endpoint: Endpoint | None) -> None:
        """Kill what still runs, forget the container, give its address back."""
        if self._running:
            # The build was canceled, or the launch failed: then there is nothing to kill.
            with contextlib.suppress(LabError):
                await self._runtime.signal(self.id, signal.SIGKILL)
                await self._runtime.wait(self.id)
            with contextlib.suppress(LabError):
                await self._runtime.detached(self.id)
        with contextlib.suppress(LabError):
            await self._runtime.delete(self.id)
        if endpoint is not None:
            await self._networks.release(endpoint)

    def _prepare(self, settings: RunSettings, endpoint: Endpoint | None) -> LaunchRequest:
        """Make the directories and files of the container; return its launch."""
        for name in ("upper", "work", "init"):
            (self._scratch / name).mkdir(mode=0o755)
        lowers = self._lowers
        rootfs = WritableRootfs(self.upper, lowers, rootless=self._config.rootless)
        if lowers:
            rootfs.like(self.upper, lowers[0])
        for volume in settings.volumes:
            if _absent(rootfs, volume):
                rootfs.real_directory(volume)
        init = self._scratch / "init"
        make_mount_points(init, lowers, rootless=self._config.rootless)
        targets = {
            str(mount["destination"]): mount["destination"] in settings.mounted_files for mount in settings.mounts
        }
        _make_targets(WritableRootfs(init, lowers, rootless=self._config.rootless), targets)
        mounts = [*self._write_files(settings, endpoint), *settings.mounts]
        hostname, network = self.id[:12], "bridge"
        if self._shared is not None:
            hostname, network = self._shared.hostname, self._shared.namespace
        elif settings.network == "host":
            hostname, network = socket.gethostname(), "host"
        elif settings.network == "none":
            network = "none"
        config = oci.default_config(
            settings.args,
            env=settings.env,
            cwd=settings.cwd,
            user=settings.user,
            hostname=hostname,
            mounts=mounts,
            network=network,
            uts="host" if settings.network == "host" else "private",
            cgroups_path=f"{settings.cgroup_parent or '/pydock'}/{self.id}",
            resources=settings.resources,
            rlimits=settings.rlimits,
            shm_bytes=settings.shm_bytes or oci.DEFAULT_SHM_BYTES,
            privileged=settings.privileged,
        )
        root = OverlayRoot(
            lower=[str(path) for path in (self._scratch / "init", *lowers)],
            upper=str(self.upper),
            work=str(self._scratch / "work"),
            userxattr=self._config.rootless,
            volatile=True,  # as durable as what COPY writes
        )
        return LaunchRequest(
            id=self.id,
            bundle=str(self._config.exec_root / "bundles" / self.id),
            config=config,
            root=root,
            attachments=[] if endpoint is None else [_attachment(endpoint)],
            resolver=resolver.ADDRESS if endpoint is not None and endpoint.named else "",
            log=Log(driver="none"),
            rootless=self._config.rootless,
            single_id=self._config.single_id,
        )

    def _write_files(self, settings: RunSettings, endpoint: Endpoint | None) -> list[oci.Config]:
        resolv = etcfiles.ResolvConf.of_host()
        if endpoint is not None and endpoint.named:
            resolv = resolv.through(resolver.ADDRESS)
        elif settings.network != "host":
            resolv = resolv.reachable()
        addresses = [] if endpoint is None else [a for a in (endpoint.address, endpoint.address6) if a]
        gateway = self._networks.host_gateway
        files = {
            "hostname": f"{self.id[:12]}\n",
            "hosts": etcfiles.render_hosts(self.id[:12], "", addresses, list(settings.extra_hosts), gateway),
            "resolv.conf": resolv.render(),
        }
        for name, text in files.items():
            (self._scratch / name).write_text(text)
        place = self._scratch if self._shared is None else self._shared.files
        mounts = [oci.bind(str(place / name), f"/etc/{name}") for name in files]
        for number, (name, text) in enumerate(settings.files.items()):
            script = self._scratch / f"script-{number}"
            script.write_text(text)
            script.chmod(0o755)
            mounts.append(oci.bind(str(script), f"{PIPES}/{name}", read_only=True))
        return mounts


def make_mount_points(init: Path, lowers: list[Path], *, rootless: bool) -> None:
    """Make in `init` whatever of Docker's mount points an image lacks."""
    rootfs = WritableRootfs(init, lowers, rootless=rootless)
    if lowers:
        rootfs.like(init, lowers[0])
    for path in _DIRECTORIES:
        if _absent(rootfs, path):
            rootfs.real_directory(path)
    for path in (*_FILES, _MTAB):
        if not _absent(rootfs, path):
            continue
        directory, _, name = path.rpartition("/")
        real = rootfs.real_directory(directory) / name
        if path == _MTAB:
            real.symlink_to("/proc/mounts")
        else:
            real.touch(0o755)


def _make_targets(rootfs: WritableRootfs, targets: dict[str, bool]) -> None:
    """Make the mount points of `--mount` that the image lacks; the value says which are files."""
    for path, is_file in targets.items():
        if not _absent(rootfs, path):
            continue
        if is_file:
            directory, _, name = path.rpartition("/")
            (rootfs.real_directory(directory or "/") / name).touch(0o644)
        else:
            rootfs.real_directory(path)


def _absent(rootfs: Rootfs, path: str) -> bool:
    try:
        return rootfs.resolve(path, follow=False) is None
    except OSError:
        return False  # a file is where a directory should be: the launch will say so


def _attachment(endpoint: Endpoint) -> Attachment:
    return Attachment(
        bridge=endpoint.bridge,
        host_ifname=endpoint.host_ifname,
        ifname="eth0",
        mac=endpoint.mac,
        address=f"{endpoint.address}/{endpoint.prefix}" if endpoint.address else "",
        gateway=endpoint.gateway,
        address6=f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else "",
        gateway6=endpoint.gateway6,
        mtu=endpoint.mtu,
    )


async def _read_frames(reader: asyncio.StreamReader, write: Write) -> None:
    """Read Docker's stream frames (stream number, length, bytes) to the end."""
    try:
        while True:
            number, length = _FRAME.unpack(await reader.readexactly(_FRAME.size))
            while length:
                data = await reader.read(min(length, _READ))
                if not data:
                    return
                await write(number, data)
                length -= len(data)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
