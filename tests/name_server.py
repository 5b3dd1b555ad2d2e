"""A name server outside: it answers every question with one address, over UDP and TCP."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator

ANSWER = "192.0.2.53"
A = 1


def _outside_answer(query: bytes) -> bytes:
    record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 60, 4) + socket.inet_aton(ANSWER)
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + record


@contextlib.contextmanager
def name_server(place: str) -> Iterator[list[str]]:
    """A server outside that answers every question with 192.0.2.53; yields over what it was asked."""
    asked: list[str] = []

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append("udp")
            self.request[1].sendto(_outside_answer(self.request[0]), self.client_address)

    class Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append("tcp")
            answer = _outside_answer(self.request.recv(4096)[2:])
            self.request.sendall(struct.pack("!H", len(answer)) + answer)

    class Streams(socketserver.TCPServer):
        allow_reuse_address = True

    with socketserver.UDPServer((place, 53), Datagram) as datagrams, Streams((place, 53), Stream) as streams:
        threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (datagrams, streams)]
        for thread in threads:
            thread.start()
        try:
            yield asked
        finally:
            for server, thread in zip((datagrams, streams), threads, strict=True):
                server.shutdown()
                thread.join()
