"""The engine as a plain user: its namespaces, its ports on the host, its way out, its end."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.linux.conftest import PlainUser, RootlessDaemon, processes_of, start_rootless
from tests.name_server import ANSWER, name_server

pytestmark = [pytest.mark.userns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")]

APPLETS = ("sh", "true", "sleep", "httpd", "wget", "nslookup", "id", "cat", "ip")


def load_image(daemon: RootlessDaemon) -> str:
    """Import an image of one static busybox."""
    program = shutil.which("busybox")
    if program is None or "statically" not in subprocess.run(["file", program], capture_output=True, text=True).stdout:
        pytest.skip("machine: no static busybox")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(program, "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    with contextlib.closing(daemon.client()) as client:
        client.api.import_image_from_data(packed.getvalue(), repository="box", tag="1")
    return "box:1"


def inner_daemons(user: PlainUser) -> list[int]:
    """The daemons inside their namespaces, not their brokers."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(user.uid)}
    return [pid for pid, command in commands.items() if b"--broker-fd" in command]


def ports_of(user: PlainUser) -> set[int]:
    """The TCP ports of the host that sockets of a user listen on. Source: proc(5), /proc/net/tcp."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [entry for entry in sockets if entry[3] == "0A" and int(entry[7]) == user.uid]
    return {int(entry[1].rpartition(":")[2], 16) for entry in listening}


@pytest.fixture
def image(rootless_daemon: RootlessDaemon) -> str:
    return load_image(rootless_daemon)


class Hello(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from outside")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def outside() -> Iterator[str]:
    """A web server of the host's, at an address of the host's that is not its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    with web_server(address) as place:
        yield place


@contextlib.contextmanager
def web_server(address: str) -> Iterator[str]:
    server = ThreadingHTTPServer((address, 0), Hello)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetch(url: str) -> bytes:
    """Fetch a page; the server may need a moment to listen."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_root_inside_is_nobody_outside(rootless_daemon: RootlessDaemon, image: str) -> None:
    done = rootless_daemon.docker("run", "--rm", image, "id", "-u")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    with contextlib.closing(rootless_daemon.client()) as client:
        container = client.containers.run(image, ["sleep", "100"], detach=True)
        container.reload()
        # The pid is one of the daemon's own namespace, which is the host's.
        assert container.attrs["State"]["Pid"] in processes_of(rootless_daemon.user.uid)
        container.remove(force=True)


def test_processes_are_listed_without_a_cgroup(rootless_daemon: RootlessDaemon, image: str) -> None:
    """`top` and the views' `/lab/processes` know those of the container's pid namespace, `exec`'s too."""
    started = rootless_daemon.docker("run", "-d", "--name", "pids", image, "sleep", "101")
    assert started.returncode == 0, started.stderr
    rootless_daemon.docker("exec", "-d", "pids", "sleep", "102")
    rows = rootless_daemon.docker("top", "pids", "-o", "pid,args").stdout.splitlines()[1:]
    assert [row.split(None, 1)[1] for row in rows] == ["sleep 101", "sleep 102"]
    with contextlib.closing(rootless_daemon.client()) as client:
        (found,) = client.api.get(f"{client.api.base_url}/lab/processes").json()["containers"]
    assert [process["command"] for process in found["processes"]] == ["sleep 101", "sleep 102"]
    assert found["processes"][0]["inside"] == 1
    rootless_daemon.docker("rm", "-f", "pids")


def test_range_of_ids_where_the_system_grants_one(granted_user: PlainUser) -> None:
    daemon = start_rootless(granted_user)
    try:
        image = load_image(daemon)
        done = daemon.docker("run", "--rm", "-u", "33", image, "id", "-u")
        assert (done.returncode, done.stdout) == (0, "33\n"), done.stderr
        (child,) = inner_daemons(granted_user)
        maps = Path(f"/proc/{child}/uid_map").read_text().split()
        assert maps == ["0", str(granted_user.uid), "1", "1", "300000", "65536"]
    finally:
        assert daemon.stop() == 0, daemon.log


def test_published_port_is_open_on_the_host(rootless_daemon: RootlessDaemon, image: str) -> None:
    started = rootless_daemon.docker("run", "-d", "-P", "--expose", "80", image, "httpd", "-f", "-h", "/bin")
    assert started.returncode == 0, started.stderr
    port = rootless_daemon.docker("port", started.stdout.strip(), "80/tcp").stdout.splitlines()[0].rpartition(":")[2]
    program = Path(shutil.which("busybox") or "").read_bytes()
    for address in ("127.0.0.1", "[::1]"):
        assert fetch(f"http://{address}:{port}/busybox") == program
    assert int(port) in ports_of(rootless_daemon.user)
    removed = rootless_daemon.docker("rm", "-f", started.stdout.strip())
    assert removed.returncode == 0
    # Not by connecting: another engine of this machine may have been given the port by now.
    assert int(port) not in ports_of(rootless_daemon.user)


def test_port_in_use_and_port_of_roots(rootless_daemon: RootlessDaemon, image: str) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = rootless_daemon.docker("run", "--rm", "-p", f"{port}:80", image, "true")
    assert done.returncode == 125
    assert f"listen tcp4 0.0.0.0:{port}: bind: address already in use" in done.stderr
    done = rootless_daemon.docker("run", "--rm", "-p", "81:80", image, "true")
    assert done.returncode == 126  # the CLI's own reading of "permission denied"
    assert "listen tcp4 0.0.0.0:81: bind: permission denied" in done.stderr


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_tcp_goes_out_through_the_broker(
    rootless_daemon: RootlessDaemon, image: str, outside: str, network: str
) -> None:
    done = rootless_daemon.docker("run", "--rm", "--net", network, image, "wget", "-q", "-O", "-", f"http://{outside}/")
    assert (done.returncode, done.stdout) == (0, "hello from outside"), done.stderr


def test_registry_on_the_hosts_loopback_is_reached(rootless_daemon: RootlessDaemon) -> None:
    with web_server("127.0.0.1") as registry:
        done = rootless_daemon.docker("pull", f"{registry}/some/image:tag")
    assert done.returncode == 1  # it speaks no registry's language, but it was asked
    assert any("/v2/" in path for path in Hello.asked), done.stderr


def test_privileged_without_the_hosts_devices(rootless_daemon: RootlessDaemon, image: str) -> None:
    done = rootless_daemon.docker("run", "--rm", "--privileged", image, "sh", "-c", "cat /dev/null; id")
    assert (done.returncode, done.stdout) == (0, "uid=0 gid=0\n"), done.stderr


def test_what_does_not_work_is_said(rootless_daemon: RootlessDaemon, image: str) -> None:
    made = rootless_daemon.docker("run", "-d", "--stop-timeout", "0", image, "sleep", "1000").stdout.strip()
    paused, limited = rootless_daemon.docker("pause", made), rootless_daemon.docker("update", "-m", "64m", made)
    if paused.returncode:
        assert "no freezer cgroup" in paused.stderr
        assert (limited.returncode, "Limitation discarded" in limited.stdout + limited.stderr) == (0, True)
    rootless_daemon.docker("rm", "-f", made)
    with contextlib.closing(rootless_daemon.client()) as client:
        information = client.info()
    assert any("other UDP, ping and IPv6 don't leave the engine" in warning for warning in information["Warnings"])
    assert any("rootless" in option for option in information["SecurityOptions"])


def test_signal_to_the_broker_ends_everything(plain_user: PlainUser) -> None:
    daemon = start_rootless(plain_user)
    image = load_image(daemon)
    assert daemon.docker("run", "-d", "--stop-timeout", "0", image, "sleep", "1000").returncode == 0
    assert daemon.stop() == 0, daemon.log
    assert not Path(f"{plain_user.home}/docker.sock").exists()


def test_killed_broker_takes_the_daemon_along_in_good_order(plain_user: PlainUser) -> None:
    daemon = start_rootless(plain_user)
    daemon.process.kill()
    daemon.process.wait()
    deadline = time.monotonic() + 20
    while processes_of(plain_user.uid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(plain_user.uid), daemon.log
    assert not Path(f"{plain_user.home}/docker.sock").exists()


def test_next_daemon_enters_the_namespaces_of_a_killed_one(plain_user: PlainUser) -> None:
    """Its containers still run there: it could neither stop nor reach them from new namespaces."""
    daemon = start_rootless(plain_user, "--live-restore")
    image = load_image(daemon)
    name = daemon.docker("run", "-d", "--stop-timeout", "0", image, "sleep", "1000").stdout.strip()
    with contextlib.closing(daemon.client()) as client:
        pid = client.containers.get(name).attrs["State"]["Pid"]
    before = Path(f"/proc/{pid}/ns/user").stat().st_ino
    (child,) = inner_daemons(plain_user)
    os.kill(child, signal.SIGKILL)
    daemon.process.wait(timeout=10)
    again = start_rootless(plain_user, "--live-restore")
    (child,) = inner_daemons(plain_user)
    assert Path(f"/proc/{child}/ns/user").stat().st_ino == before
    assert again.docker("ps", "-q").stdout.strip() == name[:12]
    assert again.docker("rm", "-f", name).returncode == 0
    assert again.stop() == 0, again.log


def test_names_of_containers_and_of_others(rootless_daemon: RootlessDaemon, image: str) -> None:
    """Names outside are asked through the broker, so that a server on the host's loopback is reached."""
    assert rootless_daemon.docker("network", "create", "named").returncode == 0
    done = rootless_daemon.docker("run", "-d", "--name", "target", "--net", "named", image, "sleep", "1000")
    assert done.returncode == 0, done.stderr
    place = rootless_daemon.docker(
        "inspect", "-f", "{{.NetworkSettings.Networks.named.IPAddress}}", "target"
    ).stdout.strip()
    ask = ("run", "--rm", "--net", "named", "--dns", "127.0.0.77", image, "nslookup")
    with name_server("127.0.0.77") as asked:
        assert f"Address: {place}" in rootless_daemon.docker(*ask, "target").stdout
        assert asked == []
        assert f"Address: {ANSWER}" in rootless_daemon.docker(*ask, "www.example.org").stdout
        assert "udp" in asked
    assert rootless_daemon.docker("rm", "-f", "target").returncode == 0
    assert rootless_daemon.docker("network", "rm", "named").returncode == 0


def test_further_processes_join_and_the_container_still_ends(rootless_daemon: RootlessDaemon, image: str) -> None:
    assert rootless_daemon.docker("run", "-d", "--name", "joined", image, "sleep", "60").returncode == 0
    first = rootless_daemon.docker("exec", "joined", "sh", "-c", "cat /proc/1/cmdline; readlink /proc/self/ns/mnt")
    assert "sleep" in first.stdout, first.stderr
    assert rootless_daemon.docker("run", "--rm", image, "true").returncode == 0  # the keeper is where it was
    assert rootless_daemon.docker("rm", "-f", "joined").returncode == 0


def test_an_exec_that_the_containers_end_overtakes_ends_too(rootless_daemon: RootlessDaemon, image: str) -> None:
    """As a health check may; this one lives in another's pid namespace, so that nothing but the engine ends it."""
    docker = rootless_daemon.docker
    assert docker("run", "-d", "--name", "host", image, "sleep", "300").returncode == 0
    assert docker("run", "-d", "--name", "guest", "--pid", "container:host", image, "sleep", "301").returncode == 0
    assert docker("exec", "-d", "guest", "sleep", "302").returncode == 0
    removed = docker("rm", "-f", "guest")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert "sleep 302" not in docker("top", "host").stdout
    assert docker("rm", "-f", "host").returncode == 0
    assert docker("ps", "-aq").stdout == ""
