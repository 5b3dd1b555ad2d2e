"""`pydock doctor` and `pydock explain`: the lab's documents as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydock_lab.client.connection import Connection

_MARKS = {"real": "✓", "limited": "~", "missing": "✗"}
_HIDDEN = frozenset({"duration_ns"})


def doctor_text(connection: Connection) -> str:
    """Say which boundaries are real; of a real Docker, what its /info tells."""
    if not connection.is_lab:
        return _of_real_docker(connection.request("GET", "/info").json())
    report = connection.lab("doctor")
    lines = [f"{report['kernel']}, engine as {report['tier']}", ""]
    for check in report["checks"]:
        lines.append(f"{_MARKS.get(check['state'], '?')} {check['name']:<20} {check['state']:<8} {check['detail']}")
    return "\n".join(lines)


def explain_text(connection: Connection, container: str) -> str:
    """Say step by step what the engine did for a container.

    Raises:
        EngineError: there is no such container.
        Unavailable: the engine is a real Docker.
    """
    return trace_text(connection.lab(f"containers/{container}/trace"))


def trace_text(events: Sequence[Mapping[str, Any]]) -> str:
    """Lay trace events out, one a line: when, how long it took, who did it, what, with which values.

    The steps of a launch, which ran one after the other, follow on lines of their own.
    """
    if not events:
        return "nothing is remembered of it: the engine keeps its record only while it runs"
    start = events[0]["at_ns"]
    lines = [f"{'at':>10} {'took':>11}  {'where':<9}  what"]
    for event in events:
        data = dict(event["data"])
        steps = data.pop("steps", None) or ()
        moment = f"{(event['at_ns'] - start) / 1e6:7.2f} ms"
        details = " ".join(f"{key}={_short(value)}" for key, value in data.items() if key not in _HIDDEN)
        lines.append(f"{moment:>10} {_took(data):>11}  {event['source']:<9}  {event['kind']} {details}".rstrip())
        for step in steps:
            failed = f" ({step['error']})" if step.get("error") else ""
            lines.append(f"{'':>10} {_took(step):>11}  {step.get('where', ''):<9}    {step['description']}{failed}")
    return "\n".join(lines)


def _took(data: Mapping[str, Any]) -> str:
    duration = data.get("duration_ns")
    return f"{duration / 1e6:8.2f} ms" if isinstance(duration, int) else ""


def _short(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(number, int) for number in value.values()):
        return ",".join(f"{name}:{number}" for name, number in value.items())  # inodes of namespaces, all of them
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
