"""`make bench`: pydock beside the distribution's Docker engine and runc, in one run.

Needs root (the engines do) and the docker CLI; an engine that is missing is left out and named.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import engines, report
from benchmarks.build import SCENARIOS as BUILDS
from benchmarks.compose import ten_services
from benchmarks.network import throughput
from benchmarks.scenarios import SCENARIOS as OTHERS
from benchmarks.scenarios import Engines, Figure, Scenario

SCENARIOS = (*OTHERS, *BUILDS, Scenario("network", throughput), Scenario("compose", ten_services))


def parse_flags() -> argparse.Namespace:
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"only these: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each kind (default 15)")
    parser.add_argument("--json", type=Path, default=Path(".artifacts/benchmarks.json"), help="where figures go")
    parser.add_argument("--no-docker", action="store_true", help="leave the distribution's engine out")
    flags = parser.parse_args()
    if unknown := set(flags.scenario) - set(names):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return flags


def measure(scenario: Scenario, running: Engines, rounds: int) -> list[Figure]:
    """Run one scenario; one that fails on an engine is a row that says so, not the end of the run."""
    print(f"{scenario.name} …", file=sys.stderr, flush=True)
    try:
        return scenario.run(running, rounds)
    except engines.CommandError as error:
        return [Figure(scenario.name, "", {}, note=f"**failed**: {str(error).splitlines()[0]}")]


def main() -> int:
    flags = parse_flags()
    if os.geteuid() != 0 or shutil.which("docker") is None:
        print("benchmarks: root and the docker CLI are needed", file=sys.stderr)
        return 2
    chosen = [scenario for scenario in SCENARIOS if not flags.scenario or scenario.name in flags.scenario]
    figures: list[Figure] = []
    compileall.compile_dir("pydock_lab", quiet=1)  # as `make venv` leaves it; sources may have changed since
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(engines.pydock())]
        if flags.no_docker or not engines.dockerd_is_installed():
            print("without the distribution's Docker engine: no ratios", file=sys.stderr)
        else:
            started.append(stack.enter_context(engines.dockerd()))
        running = {engine.name: engine for engine in started}
        tar = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pd-bench-"))) / "rootfs.tar"
        engines.write_rootfs_tar(tar)
        for engine in started:
            engine.docker("import", "-", engines.IMAGE, stdin=tar)
        for scenario in chosen:
            figures += measure(scenario, running, flags.rounds)
    print(report.markdown(figures))
    report.write_json(flags.json, figures)
    failed = any(figure.note.startswith("**failed**") for figure in figures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
