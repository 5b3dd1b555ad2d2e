"""Builds: what a cached rebuild costs, what a large context costs, and copying a large file.

The same docker commands on every engine, as in scenarios.py. The classic builder
of the distribution's engine is the peer.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engines import IMAGE, Engine
from benchmarks.measure import median, memory_bytes
from benchmarks.scenarios import Engines, Figure, Scenario, timed

_STEPS = 20
_FILES = 20_000
_LARGE_BYTES = 1 << 30
_LAYER_BYTES = 200 << 20


def cached(engines: Engines, rounds: int) -> list[Figure]:
    """Twenty cached steps, on small layers and on large ones: the size must not count."""
    figures = []
    for what, first in (("", "RUN true"), (", 200 MB in them", f"RUN head -c {_LAYER_BYTES} /dev/zero > /big")):
        lines = [f"FROM {IMAGE}", first, *(f"RUN echo {step} > /s{step}" for step in range(_STEPS - 1))]
        with _context("\n".join(lines)) as context:
            for engine in engines.values():
                engine.docker("build", "-q", "-t", "bench/cached", str(context))
            what = f"cached rebuild of {_STEPS} steps{what}, by docker-py"
            figures.append(timed(engines, rounds, what, lambda e: _rebuild(e, context), ratio_budget=1 / 3))
    return figures


def _rebuild(engine: Engine, context: Path) -> None:
    engine.client.images.build(path=str(context), tag="bench/cached", rm=True)


def large_context(engines: Engines, rounds: int) -> list[Figure]:
    """Twenty thousand files, nothing changed: scanned, sent, digested, compared."""
    with _context("FROM scratch\nCOPY . /app/\n") as context:
        for number in range(_FILES):
            directory = context / f"d{number // 100}"
            directory.mkdir(exist_ok=True)
            (directory / f"f{number}").write_text(f"{number}\n" * 20)
        few = max(2, rounds // 5)
        what = f"second build with {_FILES} files in the context"
        return [timed(engines, few, what, lambda e: e.docker("build", "-q", "-t", "bench/context", str(context)))]


def large_file(engines: Engines, rounds: int) -> list[Figure]:
    """COPY of one gigabyte: speed, and how much the engine grows meanwhile."""
    speeds: dict[str, float] = {}
    growth: dict[str, float] = {}
    with _context("FROM scratch\nCOPY big /\n") as context:
        with (context / "big").open("wb") as file:
            block = bytes(range(256)) * 4096
            for number in range(_LARGE_BYTES // len(block)):
                file.write(number.to_bytes(8, "big") + block[8:])
        for name, engine in engines.items():
            seconds = []
            before = memory_bytes(engine.root, engine.process.pid)
            with _peak(engine) as peak:
                for _ in range(2):
                    started = time.perf_counter()
                    engine.docker("build", "-q", "--no-cache", "-t", "bench/large", str(context))
                    seconds.append(time.perf_counter() - started)
            speeds[name] = _LARGE_BYTES / 1e6 / median(seconds)
            growth[name] = (max(peak) - before) / 2**20
            engine.docker("rmi", "bench/large")
    return [
        Figure("COPY of 1 GB", "MB/s", speeds),
        Figure("growth of the engine meanwhile (PSS)", "MiB", growth, limit=100),
    ]


@contextlib.contextmanager
def _context(dockerfile: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as scratch:
        context = Path(scratch)
        (context / "Dockerfile").write_text(dockerfile)
        yield context


@contextlib.contextmanager
def _peak(engine: Engine) -> Iterator[list[int]]:
    """Measure an engine's memory every tenth of a second."""
    seen = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            seen.append(memory_bytes(engine.root, engine.process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


SCENARIOS = (
    Scenario("build-cached", cached),
    Scenario("build-context", large_context),
    Scenario("build-large", large_file),
)
