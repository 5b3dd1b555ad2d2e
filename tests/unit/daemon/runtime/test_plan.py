"""Plans are data: what a request becomes, without any privilege."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pydock_lab.daemon.linux import syscalls
from pydock_lab.daemon.linux.cgroups import Layout
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.plan import Plan, build_plan
from pydock_lab.daemon.runtime.request import Attachment, LaunchRequest, OverlayRoot
from pydock_lab.errors import InvalidParameter

V1 = Layout({"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "pids": "/c/pids"}, "")
V2 = Layout({}, "/sys/fs/cgroup")
NONE = Layout({}, "")


def plan(layout: Layout = V2, rootless: bool = False, **options: Any) -> Plan:
    config = oci.default_config(["true"], hostname="box", cgroups_path="/p/x", **options)
    root = OverlayRoot(["/lower"], "/upper", "/work")
    attachment = Attachment("br0", "veth1", "eth0", "", "10.0.0.2/24", "10.0.0.1")
    attachments = [attachment] if options.get("network", "bridge") == "bridge" else []
    return build_plan(LaunchRequest("x", "/b", config, root, attachments, rootless=rootless), layout)


def names(made: Plan) -> list[str]:
    return [type(operation).__name__ for operation in made.operations]


def test_order() -> None:
    order = names(plan(cgroupns="private"))
    must = ["CreateCgroup", "UnshareCgroupNamespace", "AttachToBridge", "IsolateMounts", "EnslaveMounts"]
    must += ["MountOverlay", "PivotRoot"]
    must += ["MountFilesystem", "MakeDevices", "MaskPaths", "DetachOldRoot", "ResolveUser", "InstallSeccomp"]
    must += ["SetCapabilities", "ChangeDirectory", "FindExecutable", "Execute"]
    assert [order.index(name) for name in must] == sorted(order.index(name) for name in must)
    assert order[-1] == "Execute"


@pytest.mark.parametrize(
    ("options", "name", "allowed"),
    [
        ({}, "net.ipv4.ip_forward", True),
        ({"network": "host"}, "net.ipv4.ip_forward", False),
        ({"network": "host"}, "net/ipv4/ip_forward", False),
        ({}, "kernel.shmmax", True),
        ({"ipc": "host"}, "kernel.shmmax", False),
        ({"ipc": "host"}, "fs.mqueue.msg_max", False),
        ({}, "kernel.domainname", True),
        ({"uts": "host"}, "kernel.domainname", False),
        ({}, "kernel.hostname", False),
        ({}, "vm.swappiness", False),
        ({}, "kernel/panic", False),
    ],
)
def test_a_sysctl_of_the_host_is_refused(options: dict[str, Any], name: str, allowed: bool) -> None:
    if allowed:
        assert "SetSysctls" in names(plan(sysctls={name: "1"}, **options))
    else:
        with pytest.raises(InvalidParameter, match=f'sysctl "{name}"'):
            plan(sysctls={name: "1"}, **options)


def test_no_new_privileges_puts_the_filter_last() -> None:
    order = names(plan(no_new_privileges=True))
    assert order.index("InstallSeccomp") > order.index("SetCapabilities")


def test_every_operation_is_described_and_is_data() -> None:
    for operation in plan(V1, mounts=[oci.bind("/a", "/b"), oci.tmpfs("/t")], tty=True).operations:
        assert operation.describe()
        json.dumps(vars(operation))


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"network": "host"}, syscalls.CLONE_NEWNET),
        ({"pid": "host"}, syscalls.CLONE_NEWPID),
        ({"ipc": "host"}, syscalls.CLONE_NEWIPC),
        ({"uts": "host"}, syscalls.CLONE_NEWUTS),
    ],
)
def test_a_hosts_namespace_is_not_made(options: dict[str, str], missing: int) -> None:
    assert not plan(**options).clone_flags & missing


def test_joining_a_pid_namespace_takes_a_second_fork() -> None:
    made = plan(pid="/proc/7/ns/pid")
    assert "ForkInside" in names(made)
    assert not made.clone_flags & syscalls.CLONE_NEWPID


def test_a_user_namespace_owns_the_others() -> None:
    config = oci.default_config(["true"], cgroups_path="/p/x", cgroupns="private")
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 10}]
    made = build_plan(LaunchRequest("x", "/b", config, OverlayRoot(["/lower"], "/upper", "/work")), V1)
    order = names(made)
    must = ["CreateCgroup", "EnterUserNamespace", "ForkInside", "UnshareCgroupNamespace", "IsolateMounts"]
    must += ["MountOverlay", "CloneDevices", "PivotRoot"]
    assert [order.index(name) for name in must] == sorted(order.index(name) for name in must)
    assert made.clone_flags == 0
    assert "whose root is 1000 outside" in made.operations[order.index("EnterUserNamespace")].describe()


def test_cgroups_as_docker_shows_them() -> None:
    shown = {vars(o).get("destination") for o in plan(V1).operations}
    assert {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids"} <= shown
    assert "LinkControllers" in names(plan(V1))
    fresh = [o for o in plan(V2, cgroupns="private").operations if vars(o).get("kind") == "cgroup2"]
    assert len(fresh) == 1
    assert not any("cgroup" in str(vars(o)) for o in plan(NONE).operations if "Mount" in type(o).__name__)


def test_rootless_takes_the_hosts_devices() -> None:
    order = names(plan(rootless=True))
    assert order.index("CloneDevices") < order.index("PivotRoot") < order.index("MakeDevices")


def test_capabilities_of_flags() -> None:
    def granted(**options: Any) -> list[str]:
        return list(oci.default_config(["true"], **options)["process"]["capabilities"]["bounding"])

    assert "CAP_NET_ADMIN" in granted(cap_add=["net_admin"])
    assert "CAP_CHOWN" not in granted(cap_drop=["CAP_CHOWN"])
    assert granted(cap_drop=["all"], cap_add=["KILL"]) == ["CAP_KILL"]
    assert len(granted(privileged=True)) == 41
    with pytest.raises(InvalidParameter, match='invalid CapAdd: unknown capability: "CAP_FOO"'):
        granted(cap_add=["foo"])


def test_environment() -> None:
    env = oci.default_config(["true"], env=["A=1", "PATH=/x", "A=2"], hostname="h", tty=True)["process"]["env"]
    assert env == ["PATH=/x", "HOSTNAME=h", "TERM=xterm", "A=2"]


def test_a_users_mount_replaces_a_default() -> None:
    mounts = oci.default_config(["true"], mounts=[oci.bind("/host", "/dev/shm/")])["mounts"]
    assert [mount["source"] for mount in mounts if mount["destination"].startswith("/dev/shm")] == ["/host"]


@pytest.mark.parametrize("rule", ["c 1:1", "x 1:1 rwm", "c 1 rwm", "c 1:x r", "c 1:1 q"])
def test_bad_device_rules(rule: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid device cgroup rule"):
        oci.default_config(["true"], device_cgroup_rules=[rule])
