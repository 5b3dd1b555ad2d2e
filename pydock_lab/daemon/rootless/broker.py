"""Sockets of the host's network for a daemon that lives in a namespace of its own.

A socket belongs to the network namespace it was made in, whoever holds it. So
the process that stayed outside needs to know one thing only: make a socket and
pass it in (SCM_RIGHTS). Binding, listening and connecting is then done by the
daemon as ever. Names are resolved outside too, with the host's own rules.

Each request carries one end of a fresh socket pair for its answer, so requests
from many threads never mix.

Source: unix(7), network_namespaces(7).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
from typing import Any

_MESSAGE = 65536
_ANSWER_S = 30.0


class Broker:
    """The daemon's end: a small RPC over one inherited socket, safe to use from any thread.

    Args:
        fd: The inherited descriptor (`--broker-fd`).
    """

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)  # it came through one exec and must not go through another
        self._channel = socket.socket(fileno=os.dup(fd))

    def make_socket(self, family: int, kind: int) -> socket.socket:
        """Make a socket in the host's network namespace; takes some 0.1 ms. Raises OSError."""
        answer, descriptors = self._ask({"operation": "socket", "family": int(family), "kind": int(kind)})
        if not descriptors:
            raise OSError(answer.get("errno", 0), answer.get("error", "the broker is gone"))
        return socket.socket(family, kind, 0, fileno=descriptors[0])

    def resolve(self, host: str, port: int, family: int = 0, kind: int = socket.SOCK_STREAM) -> list[tuple[Any, ...]]:
        """Resolve a name outside, as socket.getaddrinfo does; blocks. Raises socket.gaierror."""
        answer, _ = self._ask(
            {"operation": "resolve", "host": host, "port": port, "family": int(family), "kind": int(kind)}
        )
        if "found" not in answer:
            raise socket.gaierror(answer.get("errno", socket.EAI_AGAIN), answer.get("error", "the broker is gone"))
        return [(*entry[:4], tuple(entry[4])) for entry in answer["found"]]

    def close(self) -> None:
        """Let the channel go; the broker ends with its last holder."""
        self._channel.close()

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                socket.send_fds(self._channel, [json.dumps(request).encode()], [theirs.fileno()])
            ours.settimeout(_ANSWER_S)
            data, descriptors = _receive(ours)
        return (json.loads(data) if data else {}), descriptors


def serve(channel: socket.socket, stop_fd: int) -> None:
    """Answer requests until `stop_fd` is readable.

    Runs in the process outside. A name that takes long to resolve must not hold
    up a port, so each of those is resolved in a thread.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(stop_fd, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == stop_fd:
                    return
                if not _serve_one(channel):
                    selector.unregister(channel)


def _serve_one(channel: socket.socket) -> bool:
    """Answer one request; False at the end of the channel."""
    data, descriptors = _receive(channel)
    if not data:
        return False
    if not descriptors:
        return True
    answer = socket.socket(fileno=descriptors[0])
    request = json.loads(data)
    if request.get("operation") == "resolve":
        threading.Thread(target=_resolve, args=(request, answer), daemon=True).start()
    else:
        _make_socket(request, answer)
    return True


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors, which don't outlive an exec."""
    data, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # recv_fds drops its flags argument (CPython before 3.12)
    return data, list(descriptors)


def _make_socket(request: dict[str, Any], answer: socket.socket) -> None:
    with answer:
        try:
            with socket.socket(request["family"], request["kind"]) as made:
                socket.send_fds(answer, [b"{}"], [made.fileno()])
        except OSError as error:
            _send(answer, {"errno": error.errno, "error": error.strerror})


def _resolve(request: dict[str, Any], answer: socket.socket) -> None:
    with answer:
        try:
            found = socket.getaddrinfo(request["host"], request["port"], request["family"], request["kind"])
        except OSError as error:
            _send(answer, {"errno": error.errno, "error": error.strerror})
        else:
            _send(answer, {"found": found})


def _send(answer: socket.socket, document: dict[str, Any]) -> None:
    try:
        answer.send(json.dumps(document).encode())
    except OSError:  # whoever asked has gone
        return
