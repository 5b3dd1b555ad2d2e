"""`up` and `down` of a project of ten services: pydock on its engine, Compose 2 on the distribution's.

Compose 2 is what `tools/compose2` fetched, `docker compose`, or a `docker-compose`
whose version is 2; where there is none, there is no ratio.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from benchmarks.engines import IMAGE, CommandError, Engine
from benchmarks.measure import median
from benchmarks.scenarios import Engines, Figure

_FASTER = 1 / 5


def ten_services(running: Engines, rounds: int) -> list[Figure]:
    """Time `up -d` and `down` of ten services, three volumes and a network of their own."""
    times: dict[str, dict[str, list[float]]] = {"up": {}, "down": {}}
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as directory:
        Path(directory, "compose.yaml").write_text(_project())
        for turn in range(max(2, rounds // 3) + 1):
            for engine in running.values():
                command = _pydock() if engine.name == "pydock" else _compose()
                if command is None:
                    continue
                for verb, words in (("up", ("up", "-d")), ("down", ("down", "-v"))):
                    taken = _run(engine, (*command, *words), directory)
                    if turn:  # the first round does not count
                        times[verb].setdefault(engine.name, []).append(taken)
    return [
        Figure(
            f"compose {verb}, ten services",
            "ms",
            {name: median(values) * 1000 for name, values in found.items()},
            ratio_budget=_FASTER,
            samples=found,
            note="" if len(found) == len(running) else "no Compose 2 to compare with",
        )
        for verb, found in times.items()
    ]


def _project() -> str:
    lines = ["name: pdbench", "services:"]
    for number in range(10):
        # SIGKILL: `sleep` as PID 1 ignores SIGTERM, and the grace period is not what is measured.
        lines += [f"  s{number}:", f"    image: {IMAGE}", "    command: sleep 1000", "    stop_signal: SIGKILL"]
        if number < 3:
            lines.append(f"    volumes: ['v{number}:/data']")
        if number > 6:
            lines.append("    depends_on: [s0, s1]")
    return "\n".join([*lines, "volumes: {v0: , v1: , v2: }", ""])


def _pydock() -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("pydock")), "compose")


@cache
def _compose() -> tuple[str, ...] | None:
    fetched = str(Path(sys.executable).with_name("docker-compose-2"))
    for command in ((fetched,), ("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip().lstrip("v").startswith("2."):
                return command
    return None


def _run(engine: Engine, words: tuple[str, ...], directory: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(words, env=engine.environment, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(words[-2:])} on {engine.name}: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - started
