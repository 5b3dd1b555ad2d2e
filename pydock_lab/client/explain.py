"""`pydock doctor` and `pydock explain`: the lab's documents as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydock_lab.client.commands.execute import engine_hint, engine_message
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.connection import Connection

_MARKS = {"real": "✓", "limited": "~", "missing": "✗"}
_HIDDEN = frozenset({"duration_ns"})


def doctor_text(connection: Connection) -> str:
    """Say which boundaries are real; of a real Docker, what its /info tells."""
    if not connection.is_lab:
        return _of_real_docker(connection.client.info())
    report = connection.lab("doctor")
    lines = [f"{report['kernel']}, engine as {report['tier']}", ""]
    for check in report["checks"]:
        lines.append(f"{_MARKS.get(check['state'], '?')} {check['name']:<20} {check['state']:<8} {check['detail']}")
    return "\n".join(lines)


def explain_text(connection: Connection, container: str) -> str:
    """Say step by step what the engine did for a container.

    Raises:
        CommandError: there is no such container, or the engine is a real Docker.
    """
    from docker.errors import APIError

    try:
        events = connection.lab(f"containers/{container}/trace")
    except APIError as error:
        message = engine_message(error) or str(error)
        raise CommandError(message, hint=engine_hint(error)) from error
    return trace_text(events)


def trace_text(events: Sequence[Mapping[str, Any]]) -> str:
    """Lay trace events out, one a line: milliseconds since the first, room, step, details."""
    if not events:
        return "nothing is remembered of it: the engine keeps its record only while it runs"
    start = events[0]["at_ns"]
    lines = []
    for event in events:
        took = event["data"].get("duration_ns")
        length = f"{took / 1e6:8.2f} ms" if isinstance(took, int) else " " * 11
        details = " ".join(f"{key}={_short(value)}" for key, value in event["data"].items() if key not in _HIDDEN)
        moment = (event["at_ns"] - start) / 1e6
        lines.append(f"{moment:10.2f} {length}  {event['source']:<8} {event['kind']:<24} {details}".rstrip())
    return "\n".join(["   at (ms)     took     room     step", *lines])


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value) if not isinstance(value, (dict, list)) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _of_real_docker(info: Mapping[str, Any]) -> str:
    options = ", ".join(option.removeprefix("name=") for option in info.get("SecurityOptions") or ()) or "none"
    engine = f"a real Docker {info.get('ServerVersion')}"
    return "\n".join(
        (
            f"{info.get('OperatingSystem')}, kernel {info.get('KernelVersion')}: {engine}",
            "",
            f"✓ layers       {info.get('Driver')}",
            f"✓ limits       cgroups version {info.get('CgroupVersion', '1')} ({info.get('CgroupDriver')})",
            f"✓ security     {options}",
            *(f"~ warning      {warning}" for warning in info.get("Warnings") or ()),
        )
    )
