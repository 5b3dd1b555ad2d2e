"""Runs inside the python stand-in whenever pip starts there: without an index in reach, use the wheelhouse alone.

pip asks the index for every package before it looks at its own wheels, five
times with growing pauses. One try beforehand saves a classroom without a network
that minute. Standard library only: this file is copied into the image.
"""

from __future__ import annotations

import configparser
import os
import socket
import sys
import threading
import urllib.parse
import urllib.request

WHEELHOUSE = "/usr/share/wheelhouse"
CONFIG = "/etc/pip.conf"
_TIMEOUT_S = 3.0
_CHOICES = ("-i", "--index-url", "--no-index", "--extra-index-url")


def prepare() -> None:
    """Set PIP_NO_INDEX where the index can't be reached, unless the command or environment chose already."""
    words = sys.orig_argv
    if "PIP_NO_INDEX" in os.environ or not {"install", "download", "wheel"} & set(words):
        return
    if any(word.partition("=")[0] in _CHOICES for word in words):
        return
    if not in_reach(*endpoint(index_url())):
        os.environ["PIP_NO_INDEX"] = "1"
        print(f"pip: no package index in reach; using the wheels in {WHEELHOUSE}", file=sys.stderr)  # noqa: T201


def index_url() -> str:
    """Return the index that pip would ask."""
    parser = configparser.RawConfigParser()
    parser.read(CONFIG)
    configured = parser.get("global", "index-url", fallback="https://pypi.org/simple")
    return os.environ.get("PIP_INDEX_URL") or configured


def endpoint(url: str) -> tuple[str, int]:
    """Return the host and port that a request for `url` connects to: the index, or the proxy before it."""
    address = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname or ""):
        address = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return address.hostname or "", address.port or (80 if address.scheme == "http" else 443)


def in_reach(host: str, port: int, timeout_s: float = _TIMEOUT_S) -> bool:
    """Tell whether a connection comes about in time; a thread, because a name look-up knows no timeout."""
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout_s).close()
        except OSError:
            return
        connected.set()

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(timeout_s)
    return connected.is_set()
