"""The typed model of a project's services and resources.

Fields stand in the order of compose-go's structures (types/types.go): `config`
prints them in that order, and the config hash is taken over it. Everything is
in its long form; a field that was not set has its default and is not printed.
"""

from __future__ import annotations

from typing import Any

import msgspec

Texts = list[str]
TextMap = dict[str, str]
Settings = dict[str, str | None]


class Part(msgspec.Struct, omit_defaults=True, kw_only=True, forbid_unknown_fields=False):
    """A part of the model."""


class SingleOrRange(Part):
    """A ulimit with a soft and a hard value."""

    soft: int
    hard: int


class FileReference(Part):
    """A config or secret as a service uses it."""

    source: str = ""
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: int | None = None


class Build(Part):
    """How an image is built."""

    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    entitlements: Texts = []
    args: Settings = {}
    ssh: Texts = []
    labels: TextMap = {}
    cache_from: Texts = []
    cache_to: Texts = []
    no_cache: bool = False
    additional_contexts: TextMap = {}
    pull: bool = False
    extra_hosts: dict[str, Texts] = {}
    isolation: str = ""
    network: str = ""
    target: str = ""
    secrets: list[FileReference] = []
    shm_size: str = ""
    tags: Texts = []
    ulimits: dict[str, int | SingleOrRange] = {}
    platforms: Texts = []
    privileged: bool = False


class Hook(Part):
    """A command run in a container at a turn of its life."""

    command: Texts | None = None
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Settings = {}


class Trigger(Part):
    """What `watch` does when files change."""

    path: str = ""
    action: str = ""
    target: str = ""
    exec: Hook | None = None
    ignore: Texts = []


class Develop(Part):
    """For `watch`."""

    watch: list[Trigger] = []


class Weight(Part):
    """A device's share of I/O."""

    path: str = ""
    weight: int = 0


class Rate(Part):
    """A device's limit of I/O."""

    path: str = ""
    rate: str = ""


class Blkio(Part):
    """Block I/O."""

    weight: int = 0
    weight_device: list[Weight] = []
    device_read_bps: list[Rate] = []
    device_read_iops: list[Rate] = []
    device_write_bps: list[Rate] = []
    device_write_iops: list[Rate] = []


class Dependency(Part):
    """What a service waits for."""

    condition: str = ""
    restart: bool = False
    required: bool | None = None
    """None where nobody said; what was said is shown, also when it is no."""


class DeviceRequest(Part):
    """Devices by what they can do (GPUs)."""

    capabilities: Texts = []
    driver: str = ""
    count: int | str | None = None
    device_ids: Texts = []
    options: TextMap = {}


class Amounts(Part):
    """Limits or reservations."""

    cpus: float = 0
    memory: str = ""
    pids: int = 0
    devices: list[DeviceRequest] = []
    generic_resources: list[dict[str, Any]] = []


class Resources(Part):
    """Limits and reservations."""

    limits: Amounts | None = None
    reservations: Amounts | None = None


class RestartPolicy(Part):
    """`deploy.restart_policy`."""

    condition: str = ""
    delay: str | None = None
    max_attempts: int | None = None
    window: str | None = None


class UpdateConfig(Part):
    """How a swarm replaces containers; kept, not used."""

    parallelism: int | None = None
    delay: str = ""
    failure_action: str = ""
    monitor: str = ""
    max_failure_ratio: float = 0
    order: str = ""


class Placement(Part):
    """Where a swarm may run it; kept, not used."""

    constraints: Texts = []
    preferences: list[dict[str, str]] = []
    max_replicas_per_node: int = 0


class Deploy(Part):
    """`deploy`."""

    mode: str = ""
    replicas: int | None = None
    labels: TextMap = {}
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = msgspec.field(default_factory=Resources)
    restart_policy: RestartPolicy | None = None
    placement: Placement = msgspec.field(default_factory=Placement)
    endpoint_mode: str = ""


class Device(Part):
    """A device of the host."""

    source: str = ""
    target: str = ""
    permissions: str = ""


class Healthcheck(Part):
    """A probe."""

    test: Texts = []
    timeout: str | None = None
    interval: str | None = None
    retries: int | None = None
    start_period: str | None = None
    start_interval: str | None = None
    disable: bool = False


class Logging(Part):
    """Where a container's output goes."""

    driver: str = ""
    options: Settings = {}


class Attachment(Part):
    """A service's place in a network."""

    priority: int = 0
    aliases: Texts = []
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: Texts = []
    mac_address: str = ""
    driver_opts: Settings = {}


class Port(Part):
    """A published port."""

    name: str = ""
    mode: str = ""
    host_ip: str = ""
    target: int = 0
    published: str = ""
    protocol: str = ""
    app_protocol: str = ""


class BindOptions(Part):
    """Of a bind mount."""

    selinux: str = ""
    propagation: str = ""
    create_host_path: bool = False
    recursive: str = ""


class VolumeOptions(Part):
    """Of a volume mount."""

    nocopy: bool = False
    subpath: str = ""


class TmpfsOptions(Part):
    """Of a tmpfs mount."""

    size: str = ""
    mode: int = 0


class Volume(Part):
    """A mount of a service."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None


class Service(Part):
    """A service."""

    profiles: Texts = []
    annotations: Settings = {}
    attach: bool | None = None
    build: Build | None = None
    develop: Develop | None = None
    blkio_config: Blkio | None = None
    cap_add: Texts = []
    cap_drop: Texts = []
    cgroup_parent: str = ""
    cgroup: str = ""
    cpu_count: int = 0
    cpu_percent: float = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpus: float = 0
    cpuset: str = ""
    cpu_shares: int = 0
    command: Texts | None = None
    configs: list[FileReference] = []
    container_name: str = ""
    credential_spec: dict[str, str] | None = None
    depends_on: dict[str, Dependency] = {}
    deploy: Deploy | None = None
    device_cgroup_rules: Texts = []
    devices: list[Device] = []
    dns: Texts = []
    dns_opt: Texts = []
    dns_search: Texts = []
    domainname: str = ""
    entrypoint: Texts | None = None
    environment: Settings = {}
    env_file: list[dict[str, Any]] = []
    expose: Texts = []
    external_links: Texts = []
    extra_hosts: dict[str, Texts] = {}
    group_add: Texts = []
    gpus: list[DeviceRequest] = []
    hostname: str = ""
    healthcheck: Healthcheck | None = None
    image: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: TextMap = {}
    label_file: Texts = []
    links: Texts = []
    logging: Logging | None = None
    mem_limit: str = ""
    mem_reservation: str = ""
    memswap_limit: str = ""
    mem_swappiness: str = ""
    mac_address: str = ""
    network_mode: str = ""
    networks: dict[str, Attachment | None] = {}
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int = 0
    platform: str = ""
    ports: list[Port] = []
    privileged: bool = False
    pull_policy: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: list[FileReference] = []
    security_opt: Texts = []
    shm_size: str = ""
    stdin_open: bool = False
    stop_grace_period: str | None = None
    stop_signal: str = ""
    storage_opt: Settings = {}
    sysctls: Settings = {}
    tmpfs: Texts = []
    tty: bool = False
    ulimits: dict[str, int | SingleOrRange] = {}
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: list[Volume] = []
    volumes_from: Texts = []
    working_dir: str = ""
    post_start: list[Hook] = []
    pre_stop: list[Hook] = []
    extensions: dict[str, Any] = {}

    @property
    def replicas(self) -> int:
        """How many containers there should be."""
        if self.scale is not None:
            return self.scale
        return 1 if self.deploy is None or self.deploy.replicas is None else self.deploy.replicas


class IpamPool(Part):
    """An address pool of a network."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: TextMap = {}


class Ipam(Part):
    """Where a network's addresses come from."""

    driver: str = ""
    config: list[IpamPool] = []


class Network(Part):
    """A network."""

    name: str = ""
    driver: str = ""
    driver_opts: Settings = {}
    ipam: Ipam = msgspec.field(default_factory=Ipam)
    external: bool = False
    internal: bool = False
    attachable: bool = False
    labels: TextMap = {}
    enable_ipv6: bool | None = None
    extensions: dict[str, Any] = {}


class StoredVolume(Part):
    """A named volume."""

    name: str = ""
    driver: str = ""
    driver_opts: Settings = {}
    external: bool = False
    labels: TextMap = {}
    extensions: dict[str, Any] = {}


class FileObject(Part):
    """A config or secret: where its content comes from."""

    name: str = ""
    file: str = ""
    environment: str = ""
    content: str = ""
    external: bool = False
    labels: TextMap = {}
    driver: str = ""
    driver_opts: Settings = {}
    template_driver: str = ""
    extensions: dict[str, Any] = {}
