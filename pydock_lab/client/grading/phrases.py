"""What can be asked of the engine in words: `container web runs`, `volume data exists`.

Each phrase is one function that looks at the engine's state over its API and says
what is, so that a learner reads "web has exited with status 1", not "False".
Anything a phrase does not cover is asked with a docker command; see question.py.
"""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.connection import Connection
from pydock_lab.client.grading.finding import Finding

Ask = Callable[..., Finding]

PAGE_PATIENCE_S = 10.0
"""How long a page may take to be served: a server in a container that has just started needs a moment."""
_ADDED_OR_CHANGED = frozenset({0, 1})


def find(words: Sequence[str], connection: Connection) -> Finding | None:
    """Answer what a phrase asks, or return None where the words are no phrase."""
    for phrase, ask in PHRASES.items():
        if (given := _match(phrase.split(), words)) is not None:
            return ask(connection, *given)
    return None


def _match(pattern: Sequence[str], words: Sequence[str]) -> list[str] | None:
    """Return what stands in the places of the phrase's words in capitals."""
    if len(pattern) != len(words):
        return None
    pairs = list(zip(pattern, words, strict=True))
    if any(word != given for word, given in pairs if not word.isupper()):
        return None
    return [given for word, given in pairs if word.isupper()]


def _look(connection: Connection, path: str) -> Any:
    """Return the document at an API path, or None where there is no such object."""
    try:
        return connection.request("GET", path).json()
    except EngineError as error:
        if error.status_code == 404:
            return None
        raise


def _container_exists(connection: Connection, name: str) -> Finding:
    if (found := _look(connection, f"/containers/{name}/json")) is None:
        return _no_container(name)
    return Finding(True, f"the container {name} is there and {_state(found)}")


def _container_runs(connection: Connection, name: str) -> Finding:
    if (found := _look(connection, f"/containers/{name}/json")) is None:
        return _no_container(name)
    state = found["State"]
    hint = f"`%container unpause {name}`" if state.get("Paused") else f"`%container logs {name}` may tell why"
    return Finding(state["Status"] == "running", f"{name} {_state(found)}", hint)


def _container_exited(connection: Connection, name: str, status: str = "") -> Finding:
    if (found := _look(connection, f"/containers/{name}/json")) is None:
        return _no_container(name)
    state = found["State"]
    holds = state["Status"] == "exited" and status in ("", str(state["ExitCode"]))
    return Finding(holds, f"{name} {_state(found)}", f"`%container logs {name}` shows what it said")


def _container_wrote(connection: Connection, name: str, path: str) -> Finding:
    changes = _look(connection, f"/containers/{name}/changes")
    if changes is None and _look(connection, f"/containers/{name}/json") is None:
        return _no_container(name)
    wrote = any(entry["Path"] == path and entry["Kind"] in _ADDED_OR_CHANGED for entry in changes or ())
    said = f"{name} has {'' if wrote else 'not '}written {path} to its own layer"
    return Finding(wrote, said, f"`%container diff {name}` lists what it changed")


def _container_mounts(connection: Connection, name: str, source: str, target: str) -> Finding:
    if (found := _look(connection, f"/containers/{name}/json")) is None:
        return _no_container(name)
    at = next((mount for mount in found["Mounts"] if mount["Destination"] == target), None)
    if at is None:
        return Finding(False, f"{name} has nothing mounted at {target}", f"was `-v {source}:{target}` left out?")
    there = at.get("Name") or at["Source"]
    return Finding(source in (there, at["Source"]), f"{name} has the {at['Type']} {there} at {target}")


def _object_exists(kind: str) -> Ask:
    def ask(connection: Connection, name: str) -> Finding:
        path = f"/images/{name}/json" if kind == "image" else f"/{kind}s/{name}"
        there = _look(connection, path) is not None
        said = f"the {kind} {name} is there" if there else f"there is no {kind} {name}"
        return Finding(there, said, f"`%{kind} ls` lists those that there are")

    return ask


def _nothing_named(connection: Connection, pattern: str) -> Finding:
    left = [found for found in _names(connection) if fnmatch.fnmatchcase(found[1], pattern)]
    if not left:
        return Finding(True, f"nothing is named {pattern}")
    listed = ", ".join(f"the {kind} {name}" for kind, name in left)
    kind, name = left[0]
    return Finding(False, f"still there: {listed}", f"`%{kind} rm {'-f ' if kind == 'container' else ''}{name}`")


def _names(connection: Connection) -> Iterator[tuple[str, str]]:
    for entry in connection.request("GET", "/containers/json", query={"all": True}).json():
        yield from (("container", name.lstrip("/")) for name in entry["Names"])
    for entry in connection.request("GET", "/images/json").json():
        yield from (("image", name) for name in entry.get("RepoTags") or ())
    for entry in connection.request("GET", "/volumes").json().get("Volumes") or ():
        yield "volume", entry["Name"]
    for entry in connection.request("GET", "/networks", query={"filters": json.dumps({"type": ["custom"]})}).json():
        yield "network", entry["Name"]


def _page_says(connection: Connection, address: str, text: str) -> Finding:
    """Fetch a page until it is served; `connection` is not asked: the page is what a visitor sees."""
    last, deadline = "", time.monotonic() + PAGE_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=PAGE_PATIENCE_S) as page:
                body = page.read().decode(errors="replace")
        except HTTPError as error:
            return Finding(False, f"{address} answers with status {error.code}", "the app's log may tell why")
        except OSError as error:
            last = str(getattr(error, "reason", error))
            time.sleep(0.1)
            continue
        says = text in body
        return Finding(says, f"{address} {'says' if says else 'answers, but does not say'} “{text}”")
    return Finding(False, f"nobody answers at {address} ({last})", "is the port published, and does the app run?")


def _no_container(name: str) -> Finding:
    return Finding(False, f"there is no container {name}", "`%container ls --all` lists those that there are")


def _state(found: Mapping[str, Any]) -> str:
    """The state of an inspected container as a verb: `runs`, `has exited with status 1`."""
    state = found["State"]
    status = state["Status"]
    if status == "exited":
        killed = f" (killed by signal {state['ExitCode'] - 128})" if state["ExitCode"] > 128 else ""
        memory = ", out of memory" if state.get("OOMKilled") else ""
        return f"has exited with status {state['ExitCode']}{killed}{memory}"
    return {"running": "runs", "created": "was created but never started", "paused": "is paused"}.get(
        status, f"is {status}"
    )


PHRASES: Mapping[str, Ask] = {
    "container NAME exists": _container_exists,
    "container NAME runs": _container_runs,
    "container NAME exited": _container_exited,
    "container NAME exited with STATUS": _container_exited,
    "container NAME wrote PATH": _container_wrote,
    "container NAME mounts SOURCE at PATH": _container_mounts,
    "image NAME exists": _object_exists("image"),
    "volume NAME exists": _object_exists("volume"),
    "network NAME exists": _object_exists("network"),
    "nothing named PATTERN": _nothing_named,
    "page URL says TEXT": _page_says,
}
"""The phrases; a word in capitals stands for what the learner names."""
