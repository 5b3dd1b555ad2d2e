"""Turn a launch request into a plan: the clone flags and the ordered list of operations.

A plan is data. The same list is executed by the container's first process,
timed, recorded in the trace and shown by explain mode; it can be made and read
without any privilege. Nothing here touches the kernel, except to see which
cgroup hierarchies there are.

Source: the order follows OCI runtime-spec runtime.md; the reasons stand with
the operations.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydock_lab.daemon.linux import cgroups, mounts
from pydock_lab.daemon.runtime.operations import devices, identity, namespaces, outside, protection, rootfs
from pydock_lab.daemon.runtime.operations.base import CannotStart, Operation
from pydock_lab.daemon.runtime.request import ExecRequest, LaunchRequest
from pydock_lab.daemon.runtime.sysctls import check_sysctls

Config = dict[str, Any]

INIT_PATH = "/sbin/docker-init"
INIT_BINARIES = ("/usr/bin/docker-init", "/usr/bin/tini-static")


@dataclass
class Plan:
    """What the keeper forks, and what the forked process does.

    Attributes:
        id: Of the container or exec.
        clone_flags: CLONE_NEW* of the fork.
        cgroup_path: Of the container, or "".
        operations: In order; the last becomes the program.
        bridges: Links whose index has to be known before the network namespace changes.
        capabilities: Those granted; seccomp profiles have rules that depend on them.
        seccomp: OCI seccomp objects whose filters are installed, in order.
        terminal: The process has a pty.
    """

    id: str
    clone_flags: int = 0
    cgroup_path: str = ""
    operations: list[Operation] = field(default_factory=list)
    bridges: list[str] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=list)
    seccomp: list[Config] = field(default_factory=list)
    terminal: bool = False


def build_plan(request: LaunchRequest, layout: cgroups.Layout) -> Plan:
    """Return the plan of a container's init process."""
    init = find_init(request.init)
    if init and init != "self":
        request = _under_init(request, init)
    config, linux = request.config, request.config.get("linux") or {}
    process = config["process"]
    kinds = linux.get("namespaces") or []
    new = [kind["type"] for kind in kinds if not kind.get("path")]
    plan = Plan(id=request.id, terminal=bool(process.get("terminal")), cgroup_path=linux.get("cgroupsPath") or "")
    plan.bridges = [attachment.bridge for attachment in request.attachments]
    add = plan.operations.append
    # The cgroup namespace has to wait until the process is in its cgroup, and the mount namespace
    # until the host's mounts are to be seen as they are at that moment (see spare.py).
    born_in = [kind for kind in new if kind not in ("cgroup", "mount", "user")]
    user = next((kind for kind in kinds if kind["type"] == "user"), None)
    joined = [kind for kind in kinds if kind.get("path") and kind is not user]
    if user is None:
        plan.clone_flags = sum(namespaces.KINDS[kind][0] for kind in born_in)
    add(namespaces.CloneNamespaces([] if user else born_in))
    for kind in joined:
        add(namespaces.JoinNamespace(kind["type"], kind["path"]))
    if any(kind["type"] == "pid" for kind in joined) and user is None:
        # A process never changes its own pid namespace, only that of its children (setns(2)).
        add(namespaces.ForkInside())
    in_cgroup = bool(plan.cgroup_path and layout.version)
    cgroup = namespaces.CreateCgroup(plan.cgroup_path, linux.get("resources") or {}, request.rootless)
    if user is not None:
        # A cgroup is of the host: it has to be made and entered before.
        plan.operations += [*([cgroup] if in_cgroup else []), *_user_namespace(linux, user.get("path") or "", born_in)]
    if "network" in new:
        add(namespaces.BringUpLoopback())
    if in_cgroup and user is None:
        add(cgroup)
    if in_cgroup and "cgroup" in new:
        add(namespaces.UnshareCgroupNamespace())
    for attachment in request.attachments:
        add(namespaces.AttachToBridge(**vars(attachment)))
    if request.resolver:
        add(namespaces.OpenResolver(request.resolver))
    plan.operations += _root(request, layout)
    if config.get("hostname") and "uts" in new:
        add(namespaces.SetHostname(config["hostname"], config.get("domainname", "")))
    if linux.get("sysctl"):
        check_sysctls(linux["sysctl"], kinds)
        add(namespaces.SetSysctls(dict(linux["sysctl"]), request.rootless))
    plan.operations += _protection(config)
    plan.operations += _identity(plan, process, linux.get("seccomp"), single_id=request.single_id)
    if init == "self":
        plan.operations[-1] = identity.ExecuteUnderInit(list(process["args"]))
    return plan


def _user_namespace(linux: Config, path: str, born_in: list[str]) -> list[Operation]:
    """Return what moves into a user namespace; the other namespaces are made from there, so that it owns them."""
    maps = ([], []) if path else (list(linux.get("uidMappings") or ()), list(linux.get("gidMappings") or ()))
    operations: list[Operation] = [outside.EnterUserNamespace(*maps, path)]
    if "pid" in born_in:
        operations.append(namespaces.ForkInside(born_in))
    elif born_in:
        operations.append(namespaces.UnshareNamespaces(born_in))
    return operations


def find_init(wanted: str) -> str:
    """Return the init binary to be used; "builtin" is the distribution's or, where it has none, "self": our own."""
    if wanted != "builtin":
        return wanted
    installed = (path for path in INIT_BINARIES if os.access(path, os.X_OK))
    return next(installed, "self")


def _under_init(request: LaunchRequest, init: str) -> LaunchRequest:
    """Return the request with an init binary of the host shown to the container and run first, as Docker does it."""
    config = request.config
    mount = {"destination": INIT_PATH, "type": "bind", "source": os.path.realpath(init), "options": ["bind", "ro"]}
    process = {**config["process"], "args": [INIT_PATH, "--", *config["process"]["args"]]}
    mounted = {**config, "process": process, "mounts": [*(config.get("mounts") or ()), mount]}
    return replace(request, config=mounted)


def build_exec_plan(request: ExecRequest, init_pid: int, seccomp: Config | None, cgroup_path: str) -> Plan:
    """Return the plan of a further process in a running container.

    Args:
        request: What to run.
        init_pid: The container's init, as the keeper's pid namespace numbers it.
        seccomp: The container's `linux.seccomp`.
        cgroup_path: The container's.
    """
    process = request.process
    plan = Plan(id=request.id, terminal=bool(process.get("terminal")), cgroup_path=cgroup_path)
    if cgroup_path:
        plan.operations.append(namespaces.EnterCgroup(cgroup_path))
    # The container may have a user namespace, from within which no limit can be raised.
    plan.operations += [_limits(process), namespaces.JoinContainer(init_pid)]
    if plan.terminal:
        rows, columns = request.console_size or (0, 0)
        plan.operations.append(devices.OpenPty(rows, columns, console=False))
    become = _identity(plan, process, None if request.privileged else seccomp, single_id=request.single_id)
    plan.operations += [operation for operation in become if not isinstance(operation, identity.SetLimits)]
    return plan


def _root(request: LaunchRequest, layout: cgroups.Layout) -> list[Operation]:
    """Return the operations that make the container's root and go there."""
    config = request.config
    target = os.path.join(request.bundle, "rootfs")
    listed = _mounts(config.get("mounts") or [], layout, config, request)
    shared = any(set(options) & {"shared", "rshared"} for _, _, options in listed.values())
    clones = [clone for clone, _, _ in listed.values() if clone is not None]
    operations: list[Operation] = [rootfs.IsolateMounts()]
    # What is taken from a mount that has become a slave can't share with the host any more.
    operations += [*clones, rootfs.EnslaveMounts()] if shared else [rootfs.EnslaveMounts()]
    if request.root is not None:
        root = request.root
        operations.append(rootfs.MountOverlay(**vars(root), target=target))
    else:
        target = os.path.join(request.bundle, config["root"]["path"])
        operations.append(rootfs.BindRootfs(target, target))
    nodes = config.get("linux", {}).get("devices") or []
    if request.rootless or any(entry["type"] == "user" for entry in config.get("linux", {}).get("namespaces") or ()):
        paths = [path for path, _, _ in devices.DEFAULT_NODES] + [node["path"] for node in nodes]
        operations.append(devices.CloneDevices(list(dict.fromkeys(paths))))
    operations += clones if not shared else []
    operations.append(rootfs.PivotRoot(target))
    made = False
    for destination, (_, place, _) in listed.items():
        if destination.startswith("/dev/") and not made:
            operations.append(devices.MakeDevices(nodes))
            made = True
        operations += place
    if not made:
        operations.append(devices.MakeDevices(nodes))
    operations.append(identity.MakeDirectory(config["process"].get("cwd") or "/"))
    if config["process"].get("terminal"):
        rows, columns = request.console_size or (0, 0)
        operations.append(devices.OpenPty(rows, columns))
    return operations


Placed = tuple[Operation | None, list[Operation], list[str]]


def _mounts(
    listed: Sequence[Config], layout: cgroups.Layout, config: Config, request: LaunchRequest
) -> dict[str, Placed]:
    """Return for each destination: what to hold before the pivot, what to do after it, the options."""
    placed: dict[str, Placed] = {}
    for mount in listed:
        destination, kind = os.path.normpath(mount["destination"]), str(mount.get("type") or "bind")
        options = list(mount.get("options") or ())
        flags = mounts.Options(options).flags
        if kind == "cgroup":
            placed.update(_cgroup_mounts(destination, options, layout, config, request))
        elif kind == "bind" or flags & mounts.MS_BIND:
            source = os.path.join(request.bundle, mount["source"])
            recursive = bool(flags & mounts.MS_REC) or not flags & mounts.MS_BIND
            clone = rootfs.CloneMount(source, destination, recursive, idmap=_idmap(mount, config.get("linux") or {}))
            placed[destination] = (clone, [rootfs.PlaceMount(destination, options)], options)
        elif kind == "sysfs" and request.rootless and not _has(config, "network"):
            # sysfs shows the network namespace's owner; a host's network is not ours to show afresh.
            clone = rootfs.CloneMount("/sys", destination)
            placed[destination] = (clone, [rootfs.PlaceMount(destination, ["rbind", "rro"])], options)
        else:
            operation = rootfs.MountFilesystem(
                kind, mount.get("source") or kind, destination, options, request.rootless
            )
            placed[destination] = (None, [operation], options)
    return placed


def _idmap(mount: Config, linux: Config) -> Config:
    """Return through which ids a mount shows its owners: its own maps, or the container's where it is to be mapped."""
    asked = [recursive for option, recursive in mounts.IDMAPS.items() if option in (mount.get("options") or ())]
    if not asked and not mount.get("uidMappings"):
        return {}
    source = mount if mount.get("uidMappings") else linux
    uids, gids = (list(source.get(key) or ()) for key in ("uidMappings", "gidMappings"))
    return {"uids": uids, "gids": gids, "recursive": any(asked)}


def _cgroup_mounts(
    destination: str, options: list[str], layout: cgroups.Layout, config: Config, request: LaunchRequest
) -> dict[str, Placed]:
    """Return the mounts that show the container its own cgroup, as Docker lays them out.

    With v2 and a private namespace a fresh cgroup2 mount shows it as the root; else its directory
    is bound into place, in v1 one for each hierarchy, on a small tmpfs.
    """
    path = config.get("linux", {}).get("cgroupsPath") or ""
    if not path or not layout.version:
        return {}
    if request.rootless and layout.version == 1:
        # v1 hierarchies can't be delegated; there is nothing of ours to show.
        operation = rootfs.MountFilesystem("tmpfs", "tmpfs", destination, [*options, "mode=755"])
        return {destination: (None, [operation], options)}
    if layout.version == 2:
        if _has(config, "cgroup"):
            operation = rootfs.MountFilesystem("cgroup2", "cgroup", destination, options)
            return {destination: (None, [operation], options)}
        source = layout.cgroup(path).paths()[""]
        clone = rootfs.CloneMount(source, destination, optional=True)
        return {destination: (clone, [rootfs.PlaceMount(destination, options)], options)}
    flags = [option for option in options if option != "ro"]
    tmpfs = rootfs.MountFilesystem("tmpfs", "tmpfs", destination, [*flags, "mode=755"])
    placed: dict[str, Placed] = {destination: (None, [tmpfs], options)}
    links = {}
    for controller, mount in layout.v1.items():
        name = os.path.basename(mount)
        place = os.path.join(destination, name)
        if controller.removeprefix("name=") != name and name != "systemd":
            links[controller] = name
        clone = rootfs.CloneMount(os.path.join(mount, path.strip("/")), place, optional=True)
        placed[place] = (clone, [rootfs.PlaceMount(place, options)], options)
    if links:
        tmpfs_operations: list[Operation] = [tmpfs, rootfs.LinkControllers(destination, links)]
        placed[destination] = (None, tmpfs_operations, options)
    return placed


def _has(config: Config, kind: str) -> bool:
    """True if the container gets a new namespace of this kind."""
    kinds = config.get("linux", {}).get("namespaces") or []
    return any(entry["type"] == kind and not entry.get("path") for entry in kinds)


def _protection(config: Config) -> list[Operation]:
    """Return what makes paths read-only or hides them, and the last step away from the host."""
    linux = config.get("linux") or {}
    operations: list[Operation] = []
    if linux.get("readonlyPaths"):
        operations.append(protection.ProtectPaths(list(linux["readonlyPaths"])))
    if linux.get("maskedPaths"):
        operations.append(protection.MaskPaths(list(linux["maskedPaths"])))
    if config.get("root", {}).get("readonly"):
        operations.append(rootfs.SetAttributes("/", ["ro"]))
    return [*operations, rootfs.DetachOldRoot()]


def _identity(plan: Plan, process: Config, seccomp: Config | None, *, single_id: bool) -> list[Operation]:
    """Return what makes the process the user's, ending with execve.

    Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes before the capabilities go;
    with it, last, so that it binds as little of ours as possible.
    """
    user = process.get("user") or {}
    numbers = None
    if "username" not in user:
        numbers = (user.get("uid", 0), user.get("gid", 0), list(user.get("additionalGids") or ()))
    granted = process.get("capabilities") or {}
    capabilities = identity.SetCapabilities(
        list(granted.get("permitted") or ()),
        list(granted.get("inheritable") or ()),
        list(granted.get("ambient") or ()),
        list(granted.get("bounding") or ()),
    )
    plan.capabilities = list(granted.get("bounding") or ())
    if seccomp:
        plan.seccomp.append(seccomp)
    if single_id:
        plan.seccomp.append({"profile": "fake-chown"})
    names = " and ".join(str(profile.get("profile", "given")) for profile in plan.seccomp)
    install = [identity.InstallSeccomp(names, 0)] if plan.seccomp else []
    forbids = bool(process.get("noNewPrivileges"))
    args = list(process.get("args") or ())
    if not args:
        raise CannotStart("args must not be empty")
    return [
        identity.ResolveUser(
            user.get("username", ""), list(user.get("groups") or ()), list(process.get("env") or ()), numbers
        ),
        _limits(process),
        identity.SetStdio(plan.terminal),
        identity.JoinKeyring(f"_ses.{plan.id}"),
        *([identity.ForbidNewPrivileges()] if forbids else []),
        *([] if forbids else install),
        capabilities,
        identity.ChangeDirectory(process.get("cwd") or "/"),
        identity.FindExecutable(args),
        *(install if forbids else []),
        identity.Execute(args),
    ]


def _limits(process: Config) -> Operation:
    return identity.SetLimits(list(process.get("rlimits") or ()), process.get("oomScoreAdj"))
