"""Health checks: a command run in the container at an interval, and what its results say.

Source: moby daemon/health.go; Docker Engine API, HealthConfig.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydock_lab.daemon.builder.draft import go_duration
from pydock_lab.daemon.engine.containers.record import Container, rfc3339
from pydock_lab.errors import LabError

_NS = 1_000_000_000
_MAX_RESULTS = 5
_MAX_OUTPUT = 4096

Probe = Callable[[Container, list[str], float], Awaitable[tuple[int, str]]]


async def watch_health(
    container: Container, check: dict[str, Any], probe: Probe, changed: Callable[[Container, str], None]
) -> None:
    """Probe a running container until cancelled.

    Args:
        container: Its `state.health` is kept up to date, in Docker's form.
        check: Docker's HealthConfig; durations in ns, 0 for the default.
        probe: Runs a command in the container within seconds; returns its status and output.
        changed: Called with the new status when it changes.
    """
    command = _command(check["Test"], container.record.config.get("Shell"))
    interval_s = (check.get("Interval") or 30 * _NS) / _NS
    timeout_s = (check.get("Timeout") or 30 * _NS) / _NS
    start_period_s = (check.get("StartPeriod") or 0) / _NS
    start_interval_s = (check.get("StartInterval") or 5 * _NS) / _NS
    retries = check.get("Retries") or 3
    # An earlier daemon may have written results of the same run.
    results = (container.state.health or {}).get("Log") or []
    health: dict[str, Any] = {"Status": "starting", "FailingStreak": 0, "Log": results}
    container.state.health = health
    began = time.monotonic()
    while True:
        starting = health["Status"] == "starting" and time.monotonic() - began < start_period_s
        await asyncio.sleep(min(start_interval_s, interval_s) if starting else interval_s)
        if container.state.status == "paused":
            continue
        result = await _run(container, command, timeout_s, probe)
        health["Log"] = [*health["Log"], result][-_MAX_RESULTS:]
        before = health["Status"]
        if result["ExitCode"] == 0:
            health["FailingStreak"], health["Status"] = 0, "healthy"
        elif before != "starting" or time.monotonic() - began >= start_period_s:
            health["FailingStreak"] += 1
            if health["FailingStreak"] >= retries:
                health["Status"] = "unhealthy"
        if health["Status"] != before:
            changed(container, health["Status"])


async def _run(container: Container, command: list[str], timeout_s: float, probe: Probe) -> dict[str, Any]:
    began_ns = time.time_ns()
    try:
        code, output = await probe(container, command, timeout_s)
    except asyncio.TimeoutError:
        code, output = -1, f"Health check exceeded timeout ({go_duration(round(timeout_s * 10**9))})"
    except LabError as error:
        code, output = -1, error.message
    return {
        "Start": rfc3339(began_ns),
        "End": rfc3339(time.time_ns()),
        "ExitCode": code,
        "Output": output if len(output) <= _MAX_OUTPUT else f"{output[:_MAX_OUTPUT]}...",
    }


def _command(test: list[str], shell: list[str] | None) -> list[str]:
    if test[0] == "CMD":
        return test[1:]
    return [*(shell or ["/bin/sh", "-c"]), test[1]]
