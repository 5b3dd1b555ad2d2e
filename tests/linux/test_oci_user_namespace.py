"""`pydock-runtime` and user namespaces, beside runc where it can be asked, and in the hands of podman and dockerd."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.linux.conftest import Bundle, Done, GrantedUser, PlainUser

pytestmark = pytest.mark.root

Config = dict[str, Any]

ROOT = 100_000  # who the container's root is outside
SIZE = 65536
MAPPED = f"0 {ROOT} {SIZE}"

FACTS = """
id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/oom_score_adj
grep -E 'Groups|Cap|NoNewPrivs' /proc/self/status
ls -ln /dev / | grep -v mqueue
cat /proc/self/mountinfo
for name in cgroup ipc net pid uts user; do [ /proc/1/ns/$name -ef /host/$name ] && echo $name is the hosts; done
ulimit -n; echo again > /dev/stderr; exit 3
"""


@pytest.fixture(scope="module")
def owned(image: Path) -> Path:
    """A root file system whose owner is the container's root."""
    rootfs = image.with_name("owned")
    subprocess.run(["cp", "-a", image.with_suffix(""), rootfs], check=True)
    for name in ("proc", "sys", "dev", "etc", "x", "host"):
        (rootfs / name).mkdir()
    subprocess.run(["chown", "-R", f"{ROOT}:{ROOT}", rootfs], check=True)
    return rootfs


@pytest.fixture
def mapped(bundle: Bundle, owned: Path) -> Bundle:
    """A bundle with a user namespace."""
    bundle.config["root"]["path"] = str(owned)
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": ROOT, "size": SIZE}]
    return bundle


def run(bundle: Bundle, script: str, by: str = "") -> Done:
    bundle.script(script)
    return bundle.run("run", "-b", str(bundle.path), bundle.id, by=by)


def facts(done: Done) -> list[str]:
    """What a container saw, without what differs from one to the next."""
    lines = []
    for line in done.stdout.splitlines():
        line = re.sub(r"^\d+ \d+ \d+:\d+ ", "", line)  # numbers of mounts
        line = re.sub(r" +\d+ +\w{3} +\d+ +[\d:]+ ", " ", line)  # sizes and times
        line = re.sub(r"^(d\S+) +\d+", r"\1", line)  # how many directories
        if "/sys/fs/cgroup" not in line:  # each has its own idea of where a cgroup is
            lines.append(line.replace("sysfs rw", "sysfs ro"))
    return sorted(lines)


def test_what_is_inside_is_what_runc_makes(mapped: Bundle, runc: str) -> None:
    mapped.config["mounts"].append(
        {"destination": "/host", "type": "bind", "source": "/proc/1/ns", "options": ["bind", "ro"]}
    )
    mapped.config["process"]["oomScoreAdj"] = 300
    ours, theirs = run(mapped, FACTS), run(mapped, FACTS, by=runc)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr) == (3, "again\n")
    assert facts(ours) == facts(theirs)
    assert ours.stdout.splitlines()[1].split() == MAPPED.split()


def no_mappings(config: Config) -> None:
    del config["linux"]["uidMappings"]


def no_group_mappings(config: Config) -> None:
    config["linux"]["gidMappings"] = []


def root_unmapped(config: Config) -> None:
    config["linux"]["uidMappings"] = [{"containerID": 1, "hostID": ROOT, "size": 9}]


def user_unmapped(config: Config) -> None:
    config["process"]["user"] = {"uid": 70000, "gid": 0}


def group_unmapped(config: Config) -> None:
    config["process"]["user"] = {"uid": 1, "gid": 70000}


def further_group_unmapped(config: Config) -> None:
    config["process"]["user"] = {"uid": 1, "gid": 1, "additionalGids": [70000]}


def twice(config: Config) -> None:
    config["linux"]["namespaces"].append({"type": "user"})


def nowhere(config: Config) -> None:
    config["linux"]["namespaces"][-1]["path"] = "/proc/nobody/ns/user"


def without(kind: str) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        linux = config["linux"]
        linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] != kind]

    return change


@pytest.mark.parametrize(
    "change",
    [
        no_mappings,
        no_group_mappings,
        root_unmapped,
        user_unmapped,
        group_unmapped,
        further_group_unmapped,
        twice,
        nowhere,
        without("network"),
        without("ipc"),
    ],
)
def test_what_cant_be_is_refused_in_runcs_words(mapped: Bundle, runc: str, change: Callable[[Config], None]) -> None:
    change(mapped.config)
    done = run(mapped, "true")
    theirs = run(mapped, "true", by=runc)
    assert done.returncode == theirs.returncode == 1
    said = [re.search('msg="(.*)"', text.splitlines()[-1]) for text in (done.stderr, theirs.stderr)]
    assert said[0] and said[1]
    assert said[0][1] == re.sub(r"^runc run failed: | \(via /proc/self/fd/\d+\)", "", said[1][1])


def test_exec_and_limits_that_only_the_host_can_set(mapped: Bundle) -> None:
    mapped.config["process"]["oomScoreAdj"] = 300
    # It must not keep the launch itself from forking.
    mapped.config["process"]["rlimits"] = [{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]
    mapped.script("exec sleep 100")
    assert mapped.create().returncode == 0, mapped.output
    assert mapped.run("start", mapped.id).returncode == 0
    pid = mapped.state()["pid"]
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "300\n"
    assert re.search(r"Max processes +1 +1 ", Path(f"/proc/{pid}/limits").read_text())
    assert f"Uid:\t{ROOT}\t" in Path(f"/proc/{pid}/status").read_text()
    done = mapped.run("exec", mapped.id, "sh", "-c", "exec cat /proc/self/uid_map /proc/self/oom_score_adj")
    assert done.stdout.split() == [*MAPPED.split(), "300"]
    done = mapped.run("exec", "-u", "7:8", "-g", "9", mapped.id, "id")
    assert done.stdout == "uid=7 gid=8 groups=9\n"
    done = mapped.run("exec", "-u", "70000", mapped.id, "id")
    assert done.returncode == 255 and "cannot set uid to unmapped user in user namespace" in done.stderr
    assert mapped.run("kill", mapped.id, "KILL").returncode == 0
    mapped.wait("stopped")


@pytest.mark.parametrize("kinds", [["user"], ["user", "network"], ["user", "network", "ipc", "uts", "pid"]])
def test_a_user_namespace_that_exists_is_joined(mapped: Bundle, command: Path, kinds: list[str]) -> None:
    mapped.script("exec sleep 100")
    assert mapped.create().returncode == 0, mapped.output
    names = {"user": "user", "network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts", "mount": "mnt"}
    first = Path(f"/proc/{mapped.state()['pid']}/ns")
    (mapped.path / "second").mkdir()
    second = Bundle(command, mapped.path / "second", mapped.rootfs)
    second.config = json.loads(json.dumps(mapped.config))
    for entry in second.config["linux"]["namespaces"]:
        if entry["type"] in kinds:
            entry["path"] = str(first / names[entry["type"]])
    inside = " ".join(f"/proc/self/ns/{name}" for name in names.values())
    done = run(second, f"for name in {inside}; do readlink $name; done; cat /proc/self/uid_map")
    *links, mapping = done.stdout.splitlines()
    assert mapping.split() == MAPPED.split(), done.stderr
    same = [kind for kind, link in zip(names, links, strict=True) if link == os.readlink(first / names[kind])]
    assert sorted(same) == sorted(kinds)


def test_binds_of_what_only_the_hosts_root_may_reach(mapped: Bundle, scratch: Path) -> None:
    secret = Path(scratch, "secret", "of-root")
    secret.mkdir(parents=True)
    (secret / "file").write_text("read\n")
    (secret / "file").chmod(0o644)
    secret.parent.chmod(0o700)
    subprocess.run(["mount", "--bind", secret, secret], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", secret], check=True)
    try:
        bind = {"destination": "/x", "type": "bind", "source": str(secret), "options": ["bind"]}
        mapped.config["mounts"].append(bind)
        for kind in ("bounding", "effective", "permitted"):
            mapped.config["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")
        done = run(mapped, "cat /x/file; busybox mount -o remount,bind,rw /x 2>/dev/null || echo locked")
        assert done.stdout == "read\nlocked\n", done.stderr
    finally:
        subprocess.run(["umount", secret], check=True)


@pytest.mark.parametrize(
    ("changes", "owner"),
    [
        ({"options": ["bind"]}, "65534 65534"),
        ({"options": ["bind", "idmap"]}, "5 6"),
        ({"options": ["bind"], "uidMappings": (5, ROOT + 1, 1), "gidMappings": (6, ROOT + 2, 1)}, "1 2"),
    ],
)
def test_a_mount_may_show_owners_through_an_id_map(mapped: Bundle, changes: Config, owner: str) -> None:
    given = mapped.path / "given"
    given.touch()
    os.chown(given, 5, 6)
    mount = {"destination": "/x/given", "type": "bind", "source": str(given), **changes}
    for key in {"uidMappings", "gidMappings"} & changes.keys():
        mount[key] = [dict(zip(("containerID", "hostID", "size"), changes[key], strict=True))]
    mapped.config["mounts"].append(mount)
    done = run(mapped, "busybox stat -c '%u %g' /x/given")
    assert done.stdout == f"{owner}\n", done.stderr


def test_a_plain_user_maps_himself(plain_user: PlainUser, owned: Path) -> None:
    """As `runc spec --rootless` has it: no helper, no cgroups, the host's network."""
    home = plain_user.home
    runtime = [plain_user.python, "-m", "pydock_lab.daemon.runtime.command.main", "--root", str(home / "state")]

    def call(*arguments: str) -> Done:
        return plain_user.run([*runtime, *arguments])

    assert call("spec", "--rootless", "-b", str(home)).returncode == 0
    config = json.loads((home / "config.json").read_text())
    shutil.copytree(owned, home / "rootfs", symlinks=True)
    subprocess.run(["chown", "-R", str(plain_user.uid), home / "rootfs"], check=True)
    config["process"].update(terminal=False, args=["sleep", "100"])
    (home / "config.json").write_text(json.dumps(config))
    # What a detached container inherits, it keeps.
    detached = plain_user.start(
        [*runtime, "run", "-d", "-b", str(home), "mine"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert detached.wait(60) == 0
    try:
        done = call(
            "exec", "mine", "sh", "-c", "id; cat /proc/self/uid_map /proc/self/setgroups; echo 2 > /dev/stderr; exit 3"
        )
        assert done.stdout.split() == ["uid=0", "gid=0", "0", str(plain_user.uid), "1", "deny"], done.stderr
        assert (done.returncode, done.stderr) == (3, "2\n")
        assert "cannot set any additional groups in a rootless" in call("exec", "-g", "5", "mine", "id").stderr
        assert "cgroups not configured" in call("pause", "mine").stderr
        assert len(json.loads(call("ps", "-f", "json", "mine").stdout)) == 1
    finally:
        assert call("delete", "-f", "mine").returncode == 0
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "user"]
    (home / "config.json").write_text(json.dumps(config))
    assert "rootless container requires user namespaces" in call("run", "-b", str(home), "mine").stderr


PODMAN = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]


def test_podman_maps_a_container(scratch: Path, command: Path, image: Path) -> None:
    if not shutil.which("podman"):
        pytest.skip("machine: no podman")
    root = scratch / "podman-mapped"
    ranges = scratch / "subids"
    ranges.write_text(f"containers:{ROOT * 4}:{SIZE * 2}\n")
    places = ["--root", f"{root}/root", "--runroot", f"{root}/run", "--tmpdir", f"{root}/tmp"]
    # Nobody's ranges of this machine are touched.
    alone = f'mount --bind {ranges} /etc/subuid; mount --bind {ranges} /etc/subgid; exec "$@"'
    podman = ["unshare", "-m", "sh", "-ec", alone, "sh", "podman", *places, *PODMAN, "--runtime", str(command)]

    def call(*arguments: str) -> Done:
        words = [*podman, *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    maps = ("--uidmap", f"0:{ROOT}:{SIZE}", "--gidmap", f"0:{ROOT}:{SIZE}")
    assert call("import", str(image), "box").returncode == 0
    done = call("run", "--rm", "--userns=auto", "--network", "none", "box", "sh", "-c", "id; cat /proc/self/uid_map")
    assert done.stdout.split()[:4] == ["uid=0", "gid=0", "0", str(ROOT * 4)], done.stderr
    assert call("run", "-d", "--name", "one", *maps, "--network", "none", "box", "sleep", "100").returncode == 0
    try:
        done = call("exec", "-u", "7", "one", "sh", "-c", "id -u; cat /proc/self/uid_map; exit 3")
        assert (done.returncode, done.stdout.split()) == (3, ["7", *MAPPED.split()]), done.stderr
        shared = ("--userns", "container:one", "--pid", "container:one", "--network", "container:one")
        done = call("run", "--rm", *shared, "box", "sh", "-c", "cat /proc/self/uid_map; grep -c sleep /proc/1/comm")
        assert done.stdout.split() == [*MAPPED.split(), "1"], done.stderr
        assert call("stop", "-t", "0", "one").returncode == 0
    finally:
        call("rm", "-f", "-t", "0", "one")


def test_a_plain_users_podman(granted_user: GrantedUser, image: Path) -> None:
    """Podman makes its user root of a namespace of its own, where it then calls the runtime."""
    if not shutil.which("podman"):
        pytest.skip("machine: no podman")
    user = granted_user
    runtime = user.home / "runtime"
    runtime.write_text(
        f"#!{user.python}\nimport sys\nsys.path[:0] = {user.path.split(':')!r}\n"
        "from pydock_lab.daemon.runtime.command.main import main\nsys.exit(main())\n"
    )
    runtime.chmod(0o755)
    shutil.copy(image, user.home / "image.tar")
    (user.home / "image.tar").chmod(0o644)
    (user.home / "run").mkdir(mode=0o700)
    os.chown(user.home / "run", user.uid, user.uid)

    def call(*arguments: str) -> tuple[int, str]:
        words = ["env", f"XDG_RUNTIME_DIR={user.home}/run", "podman", *PODMAN, "--runtime", str(runtime), *arguments]
        with (user.home / "out").open("w+") as out:
            process = user.start(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            code = process.wait(60)
            out.seek(0)
            return code, out.read()

    try:
        code, said = call("import", "image.tar", "box")
        assert code == 0, said
        code, said = call("run", "--rm", "--network", "none", "-u", "7:8", "box", "sh", "-c", "id; exit 5")
        assert code == 5 and "uid=7 gid=8" in said, said
        code, said = call("run", "--rm", "--network", "none", "--userns=keep-id", "box", "cat", "/proc/self/uid_map")
        assert code == 0 and len(said.strip().splitlines()[-3:]) == 3, said
    finally:
        call("system", "migrate")  # the process that holds his namespace ends


@pytest.fixture(scope="module")
def remapped(scratch: Path, command: Path, image: Path) -> Iterator[Callable[..., Done]]:
    """The docker command of a real dockerd that maps every container's ids."""
    if not shutil.which("dockerd"):
        pytest.skip("machine: no dockerd")
    root = scratch / "remapped"
    root.mkdir()
    tables = {
        "passwd": "dockremap:x:64999:64999::/:/bin/false\n",
        "group": "dockremap:x:64999:\n",
        "subuid": f"dockremap:{ROOT}:{SIZE}\n",
        "subgid": f"dockremap:{ROOT}:{SIZE}\n",
    }
    script = ["ip link set lo up"]
    for name, line in tables.items():
        original = Path("/etc", name)
        (root / name).write_text((original.read_text() if original.exists() else "") + line)
        script.append(f"mount --bind {root / name} {original}")
    flags = ["--data-root", f"{root}/d", "--exec-root", f"{root}/x", "-p", f"{root}/pid", "--storage-driver", "vfs"]
    flags += ["--userns-remap", "default", "--bridge", "none", "--add-runtime", f"pydock={command}"]
    alone = ["unshare", "-m", "-n", "sh", "-ec", "\n".join([*script, 'exec "$@"']), "sh"]

    def docker(*arguments: str) -> Done:
        words = ["docker", "-H", f"unix://{root}/s", *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    with (root / "log").open("w") as log:
        process = subprocess.Popen([*alone, "dockerd", "-H", f"unix://{root}/s", *flags], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while docker("version").returncode:
            assert process.poll() is None and time.monotonic() < deadline, (root / "log").read_text()
            time.sleep(0.1)
        assert docker("import", str(image), "box").returncode == 0
        yield docker
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_dockerd_remaps_every_container(remapped: Callable[..., Done], scratch: Path) -> None:
    docker = remapped
    run = ("run", "--runtime", "pydock", "--network", "none")
    script = "id -u; cat /proc/self/uid_map; echo again > /dev/stderr; exit 5"
    done = docker(*run, "--rm", "--init", "-v", f"{scratch}:/given:ro", "box", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (5, "again\n")
    assert done.stdout.split() == ["0", *MAPPED.split()]
    done = docker(*run, "--rm", "-u", "99999", "box", "id")
    assert "cannot set uid to unmapped user in user namespace" in done.stderr
    done = docker(*run, "--rm", "--userns=host", "box", "cat", "/proc/self/uid_map")
    assert done.stdout.split() == ["0", "0", "4294967295"]
    assert docker(*run, "-d", "--name", "one", "-m", "32m", "box", "sleep", "100").returncode == 0
    try:
        done = docker("exec", "-u", "7", "one", "sh", "-c", "id -u; cat /proc/self/uid_map; exit 4")
        assert (done.returncode, done.stdout.split()) == (4, ["7", *MAPPED.split()])
        assert str(ROOT) in docker("top", "one", "-o", "pid,uid").stdout
        assert docker("stop", "-t", "0", "one").returncode == 0
        assert docker("inspect", "-f", "{{.State.ExitCode}}", "one").stdout == "137\n"
    finally:
        docker("rm", "-f", "one")
