"""Why nobody was reached at a URL, in the words of Go's net package, which Docker's messages are made of."""

from __future__ import annotations

import socket
import urllib.parse

_PORTS = {"http": 80, "https": 443}


def dial_error(url: str, reason: object) -> str:
    """Say what an error of urllib means.

    Args:
        url: Of which the scheme is http or https.
        reason: The error, or `URLError.reason`.
    """
    parts = urllib.parse.urlsplit(url)
    if isinstance(reason, socket.gaierror):
        return f"dial tcp: lookup {parts.hostname}: no such host"
    if isinstance(reason, ConnectionError | TimeoutError) and reason.strerror:
        return f"dial tcp {parts.hostname}:{parts.port or _PORTS[parts.scheme]}: connect: {reason.strerror.lower()}"
    return (reason.strerror or str(reason)).lower() if isinstance(reason, OSError) else str(reason)
