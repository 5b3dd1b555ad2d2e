"""Guests: processes in network namespaces of their own that answer and call, as containers would.

A guest is wired as a launch wires a container, from the plain values of an Endpoint.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field

from pydock_lab.daemon.network.endpoint import Endpoint

SERVER = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
server = socket.socket(socket.AF_INET6 if sys.argv[1] == "tcp6" else socket.AF_INET, kind)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[2])))
if kind == socket.SOCK_STREAM:
    server.listen()
print("ready", flush=True)
while True:
    if kind == socket.SOCK_STREAM:
        connection, peer = server.accept()
        connection.sendall(peer[0].encode())
        connection.close()
    else:
        data, peer = server.recvfrom(100)
        server.sendto(peer[0].encode(), peer)
"""
CLIENT = """
import socket, sys
address, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                       socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
client.settimeout(0.8)
client.connect((address, port))
client.send(b"x")
print(client.recv(100).decode(), end="")
"""
TALKATIVE = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(0.5)
client.connect((sys.argv[1], int(sys.argv[2])))
for _ in sys.stdin:
    try:
        client.send(b"x")
        print(client.recv(100).decode(), flush=True)
    except OSError:
        print(flush=True)
"""


def sh(command: str) -> str:
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


def call(address: str, port: int, protocol: str = "tcp", pid: int | None = None) -> str:
    """Connect from here or from a guest; return the address the server saw, "" if nothing came back."""
    command = [sys.executable, "-c", CLIENT, address, str(port), protocol]
    inside = ["nsenter", "-n", "-t", str(pid)] if pid else []
    return subprocess.run([*inside, *command], capture_output=True, text=True, check=False).stdout


@dataclass
class Guest:
    """A process in a network namespace of its own."""

    process: subprocess.Popen[bytes]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def start(cls) -> Guest:
        process = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 1000"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        guest = cls(process)
        guest.run("ip link set lo up")
        return guest

    def wire(self, endpoint: Endpoint) -> None:
        pid, name = self.process.pid, endpoint.ifname
        sh(f"ip link add {endpoint.host_ifname} type veth peer name {name} address {endpoint.mac} netns {pid}")
        sh(f"ip link set {endpoint.host_ifname} master {endpoint.bridge} up")
        self.run(f"ip link set {name} up")
        self.run(f"ip addr add {endpoint.address}/{endpoint.prefix} dev {name}")
        if endpoint.gateway:
            self.run(f"ip route add default via {endpoint.gateway}")
        if endpoint.address6:
            self.run(f"ip addr add {endpoint.address6}/{endpoint.prefix6} dev {name} nodad")
            self.run(f"ip -6 route add default via {endpoint.gateway6}")

    def run(self, command: str) -> str:
        return sh(f"nsenter -n -t {self.process.pid} {command}")

    def serve(self, port: int, protocol: str = "tcp") -> None:
        command = ["nsenter", "-n", "-t", str(self.process.pid), sys.executable, "-c", SERVER, protocol, str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.children.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"

    def serve6(self, port: int) -> None:
        self.serve(port, "tcp6")

    def calls(self, address: str, port: int, protocol: str = "tcp") -> str:
        return call(address, port, protocol, self.process.pid)

    def stop(self) -> None:
        for process in (*self.children, self.process):
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
