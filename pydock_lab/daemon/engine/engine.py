"""The object graph of one daemon, built by one function; no globals, no singletons."""

from __future__ import annotations

from dataclasses import dataclass

from pydock_lab.daemon.builder.builder import Builder
from pydock_lab.daemon.builder.container import SharedNetwork
from pydock_lab.daemon.catalog.catalog import Catalog
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine.containers.containers import Containers
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.execs import Execs
from pydock_lab.daemon.engine.images import Images
from pydock_lab.daemon.engine.volumes import Volumes
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.registry.client import RegistryClient
from pydock_lab.daemon.registry.embedded import EmbeddedRegistry
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.blobs import BlobStore
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.images import ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.store.volumes import VolumeStore
from pydock_lab.daemon.trace import Trace


@dataclass(frozen=True)
class Engine:
    """Every noun of one daemon."""

    config: DaemonConfig
    database: Database
    trace: Trace
    events: Events
    layers: LayerStore
    runtime: Runtime
    networks: Networks
    images: Images
    volumes: Volumes
    containers: Containers
    execs: Execs
    builder: Builder
    catalog: Catalog
    registry: EmbeddedRegistry

    async def start(self) -> None:
        """Take up what an earlier daemon left, clean what it left half-made."""
        running = await self.runtime.start()
        await self.networks.start()
        await self.containers.start(running)
        await self.builder.start()

    async def stop(self) -> None:
        """Stop containers (unless they are to live on) and leave nothing of ours on the machine."""
        await self.builder.close()
        await self.registry.stop()
        await self.containers.stop_all()
        live_on = self.config.live_restore
        await self.runtime.close(stop_keeper=not live_on)
        if not live_on:
            await self.networks.close()
            await self.volumes.close()
        self.database.close()


def build_engine(config: DaemonConfig) -> Engine:
    """Build the graph; touches nothing but the data root and the exec root."""
    config.data_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    config.exec_root.mkdir(parents=True, exist_ok=True, mode=0o700)
    trace, events = Trace(), Events()
    database = Database(config.data_root / "meta.db")
    blobs = BlobStore(config.data_root / "blobs")
    layers = LayerStore(config.data_root / "layers", database, trace, rootless=config.rootless)
    image_store = ImageStore(database, layers)
    catalog = Catalog(layers, image_store, trace, scratch=config.data_root / "tmp")
    registry = RegistryClient(config, blobs, layers, image_store, database, trace)
    images = Images(image_store, layers, blobs, registry, catalog, events, trace)
    volumes = Volumes(VolumeStore(config.data_root / "volumes", database), events)
    runtime = Runtime(config.exec_root, trace)
    networks = Networks(database.table("networks"), trace, config)
    containers = Containers(config, database, runtime, layers, images, volumes, networks, events, trace)
    execs = Execs(containers, runtime, events)
    builder = Builder(
        config,
        database,
        runtime,
        layers,
        image_store,
        networks,
        images.resolve_or_pull,
        events,
        trace,
        remove_image=lambda image_id: images.remove(image_id, prune=False),
        intermediates=containers.intermediates,
        share_network=lambda reference: SharedNetwork(*containers.launcher.network_of(reference)),
    )
    return Engine(
        config=config,
        database=database,
        trace=trace,
        events=events,
        layers=layers,
        runtime=runtime,
        networks=networks,
        images=images,
        volumes=volumes,
        containers=containers,
        execs=execs,
        builder=builder,
        catalog=catalog,
        registry=EmbeddedRegistry(config),
    )
