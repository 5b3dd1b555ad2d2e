"""How long a container takes until its first process says something: the figure beside a machine's boot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.connection import Connection

_SMALL = "busybox"


def measure(connection: Connection) -> int:
    """Run `echo` in a container, of an image that is here or of busybox; return nanoseconds.

    Creating the container is counted too, fetching the image is not.
    """
    for image in _images(connection):
        try:
            return _run(connection, image)
        except EngineError:
            continue  # an image without echo
    return 0


def _images(connection: Connection) -> Iterator[str]:
    listed = connection.request("GET", "/images/json").json()
    yield from [tags[0] for image in listed if (tags := image.get("RepoTags") or [])][:3]
    connection.request("POST", "/images/create", query={"fromImage": _SMALL, "tag": "latest"})
    yield _SMALL


def _run(connection: Connection, image: str) -> int:
    document = {"Image": image, "Entrypoint": ["echo"], "Cmd": ["up"], "HostConfig": {"AutoRemove": True}}
    began_ns = time.monotonic_ns()
    container_id = connection.request("POST", "/containers/create", document).json()["Id"]
    stream = connection.hijack(f"/containers/{container_id}/attach", stream=1, stdout=1)
    try:
        connection.request("POST", f"/containers/{container_id}/start")
        next(iter(stream.frames()), None)
        took_ns = time.monotonic_ns() - began_ns
        with contextlib.suppress(EngineError):  # it is gone already; a picture drawn next must not show it
            connection.request("POST", f"/containers/{container_id}/wait", query={"condition": "removed"})
        return took_ns
    except EngineError:
        connection.request("DELETE", f"/containers/{container_id}", query={"force": True})
        raise
    finally:
        stream.close()
