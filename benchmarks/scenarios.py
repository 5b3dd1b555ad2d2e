"""What is measured: one function per scenario, the same docker commands on every engine.

A scenario takes the engines and returns one figure for each. Budgets are those of
the design: a figure of pydock divided by the same figure of docker, or an
absolute limit. The docker CLI alone takes 20-30 ms of every command, the same on
both sides; where that is most of it, the budget is for the same requests without it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import wire
from benchmarks.engines import IMAGE, CommandError, Engine, write_rootfs_tar
from benchmarks.measure import in_turns, median, memory_bytes

Engines = dict[str, Engine]

_TEN_STEPS = f"FROM {IMAGE}\n" + "".join(f"RUN echo {step} > /step{step}\n" for step in range(10))
_IDLE = 50
_LOG_LINES = 400_000


@dataclass(frozen=True)
class Figure:
    """One measured thing.

    Attributes:
        what: As it stands in the table.
        unit: `ms`, `MiB` or `MB/s`.
        values: Engine name (or `runc`) → figure.
        ratio_budget: What pydock/docker must not exceed, or None.
        limit: What pydock's figure must not exceed, or None.
        samples: Engine name → single measurements, for the JSON.
        note: Why there is no figure.
    """

    what: str
    unit: str
    values: dict[str, float]
    ratio_budget: float | None = None
    limit: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Pydock's figure divided by docker's."""
        ours, theirs = self.values.get("pydock"), self.values.get("docker")
        return ours / theirs if ours is not None and theirs else None


@dataclass(frozen=True)
class Scenario:
    """A named measurement; `run` gets the engines and the number of rounds."""

    name: str
    run: Callable[[Engines, int], list[Figure]]


def timed(
    engines: Engines,
    rounds: int,
    what: str,
    command: Callable[[Engine], object],
    *,
    per: int = 1,
    ratio_budget: float | None = None,
) -> Figure:
    """Run one command on every engine, in turns; the figure is the median in milliseconds."""
    taken = in_turns({name: partial(command, engine) for name, engine in engines.items()}, rounds)
    samples = {name: [value * 1000 / per for value in values] for name, values in taken.items()}
    return Figure(what, "ms", {name: median(values) for name, values in samples.items()}, ratio_budget, None, samples)


def cli(engines: Engines, rounds: int) -> list[Figure]:
    """The part of every figure below that is the docker CLI's own."""
    return [timed(engines, rounds, "`docker version` (the CLI itself)", lambda e: e.docker("version"))]


def run(engines: Engines, rounds: int) -> list[Figure]:
    """A container from nothing to nothing."""
    return [
        timed(
            engines,
            rounds,
            "`run --rm busybox true`, bridge",
            lambda e: e.docker("run", "--rm", IMAGE, "true"),
            ratio_budget=1 / 8,
        ),
        timed(
            engines,
            rounds,
            "`run --rm --net none busybox true`",
            lambda e: e.docker("run", "--rm", "--net", "none", IMAGE, "true"),
            ratio_budget=1 / 6,
        ),
        timed(engines, rounds, "create, start, wait, remove by docker-py, bridge", _run_by_api, ratio_budget=1 / 8),
    ]


def _run_by_api(engine: Engine) -> None:
    api = engine.client.api
    container = api.create_container(IMAGE, ["true"])["Id"]
    api.start(container)
    if api.wait(container)["StatusCode"] != 0:
        raise CommandError(f"true failed on {engine.name}")
    api.remove_container(container)


def execute(engines: Engines, rounds: int) -> list[Figure]:
    """A further process in a container that runs."""
    for engine in engines.values():
        engine.docker("run", "-d", "--name", "bench-exec", IMAGE, "sleep", "1d")
    try:
        return [
            # An engine that takes no time at all would not keep 1/4 with the CLI: see `docker version`.
            timed(engines, rounds, "`exec` of `true`", lambda e: e.docker("exec", "bench-exec", "true")),
            timed(engines, rounds, "the same by docker-py", _exec_by_api),
            timed(
                engines,
                rounds,
                "the same requests without a client",
                lambda e: wire.exec_true(e, "bench-exec"),
                ratio_budget=1 / 4,
            ),
        ]
    finally:
        for engine in engines.values():
            engine.docker("rm", "-f", "bench-exec")


def _exec_by_api(engine: Engine) -> None:
    code, _ = engine.client.containers.get("bench-exec").exec_run(["true"])
    if code != 0:
        raise CommandError(f"exec by docker-py on {engine.name}: exit status {code}")


def build(engines: Engines, rounds: int) -> list[Figure]:
    """Ten trivial RUN steps, made and then found in the cache."""
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "Dockerfile").write_text(_TEN_STEPS)
        uncached = timed(
            engines,
            max(2, rounds // 5),
            "a trivial RUN step, no cache",
            lambda e: e.docker("build", "-q", "--no-cache", "-t", "bench/steps", context),
            per=10,
            ratio_budget=1 / 5,
        )
        cached = timed(
            engines,
            rounds,
            "cached rebuild of ten RUN steps",
            lambda e: e.docker("build", "-q", "-t", "bench/steps", context),
        )
        by_api = timed(
            engines,
            rounds,
            "the same by docker-py",
            lambda e: e.client.images.build(path=context, tag="bench/steps", rm=True),
            ratio_budget=1 / 5,
        )
    return [uncached, cached, by_api]


def rest(engines: Engines, rounds: int) -> list[Figure]:
    """The engine just started, with one image."""
    time.sleep(1)
    values = {name: memory_bytes(engine.root, engine.process.pid) / 2**20 for name, engine in engines.items()}
    return [Figure("engine at rest (PSS)", "MiB", values, limit=60)]


def memory(engines: Engines, rounds: int) -> list[Figure]:
    """The engine after the work above, and what an idle container adds to it beside its own processes."""
    worked: dict[str, float] = {}
    each: dict[str, float] = {}
    for name, engine in engines.items():
        time.sleep(1)
        before = memory_bytes(engine.root, engine.process.pid)
        for index in range(_IDLE):
            engine.docker("run", "-d", "--net", "none", "--name", f"bench-idle{index}", IMAGE, "sleep", "1d")
        time.sleep(1)
        after = memory_bytes(engine.root, engine.process.pid, without=b"sleep\x001d")
        engine.docker("rm", "-f", *(f"bench-idle{index}" for index in range(_IDLE)))
        worked[name] = before / 2**20
        each[name] = (after - before) / 2**20 / _IDLE
    return [
        Figure("engine after the work above (PSS)", "MiB", worked),
        Figure(f"each of {_IDLE} idle containers (PSS)", "MiB", each, limit=1),
    ]


def startup(engines: Engines, rounds: int) -> list[Figure]:
    """From exec of the daemon to its first answer; measured when the engines were started."""
    values = {name: engine.started_s * 1000 for name, engine in engines.items()}
    return [Figure("daemon start to `/_ping`", "ms", values, limit=700)]


def logs(engines: Engines, rounds: int) -> list[Figure]:
    """Lines through the log driver to an attached client, and out of the log again."""
    size = sum(len(str(line)) + 1 for line in range(1, _LOG_LINES + 1)) / 1e6
    attached: dict[str, float] = {}
    read: dict[str, float] = {}
    few = max(2, rounds // 5)
    for engine in engines.values():
        engine.docker("run", "--name", "bench-logs", IMAGE, "seq", str(_LOG_LINES))
    for command, values in ((("run", "--rm", IMAGE, "seq", str(_LOG_LINES)), attached), (("logs", "bench-logs"), read)):
        taken = in_turns({name: partial(_all_lines, engine, *command) for name, engine in engines.items()}, few)
        values |= {name: size / median(seconds) for name, seconds in taken.items()}
    for engine in engines.values():
        engine.docker("rm", "bench-logs")
    return [Figure("output to an attached client", "MB/s", attached), Figure("`logs` of the same", "MB/s", read)]


def _all_lines(engine: Engine, *command: str) -> None:
    if not engine.docker(*command).endswith(f"{_LOG_LINES}\n"):
        raise CommandError(f"docker {' '.join(command)} on {engine.name} lost lines")


def extension(engines: Engines, rounds: int) -> list[Figure]:
    """`%load_ext pydock_lab` in a fresh kernel process, beside a daemon that runs."""
    engine = engines["pydock"]
    script = (
        "import time; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance();"
        "t = time.perf_counter(); s.run_line_magic('load_ext', 'pydock_lab'); print(time.perf_counter() - t)"
    )
    samples: list[float] = []
    for _ in range(max(3, rounds // 3)):
        done = subprocess.run(
            [sys.executable, "-c", script], env=engine.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CommandError(done.stderr.strip().splitlines()[-1])
        samples.append(float(done.stdout.splitlines()[-1]) * 1000)
    return [Figure("`%load_ext pydock_lab`", "ms", {"pydock": median(samples)}, limit=150, samples={"pydock": samples})]


def runc(engines: Engines, rounds: int) -> list[Figure]:
    """The bare runtime beside our whole engine: same root file system, no network, no API."""
    if shutil.which("runc") is None:
        return [Figure("`runc run` of the bare bundle", "ms", {}, note="runc is not installed")]
    engine = engines["pydock"]
    with tempfile.TemporaryDirectory(prefix="pd-runc-") as scratch:
        bundle = Path(scratch)
        write_rootfs_tar(bundle / "rootfs.tar")
        (bundle / "rootfs").mkdir()
        subprocess.run(["tar", "-xf", bundle / "rootfs.tar", "-C", bundle / "rootfs"], check=True)
        subprocess.run(["runc", "spec", "-b", bundle], check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"args": ["true"], "terminal": False}
        (bundle / "config.json").write_text(json.dumps(config))
        command = ["runc", "--root", str(bundle / "state"), "run", "-b", str(bundle), f"bench-{bundle.name}"]
        jobs: dict[str, Callable[[], object]] = {
            "runc": partial(subprocess.run, command, check=True, stdin=subprocess.DEVNULL),
            "pydock": partial(_run_by_api, engine),
        }
        taken = in_turns(jobs, rounds)
    samples = {name: [value * 1000 for value in values] for name, values in taken.items()}
    values = {name: median(each) for name, each in samples.items()}
    return [
        Figure(
            "the same beside `runc run` of the bare bundle",
            "ms",
            values,
            limit=values["runc"],
            samples=samples,
        )
    ]


SCENARIOS = (
    Scenario("startup", startup),
    Scenario("rest", rest),
    Scenario("cli", cli),
    Scenario("run", run),
    Scenario("runc", runc),
    Scenario("exec", execute),
    Scenario("build", build),
    Scenario("logs", logs),
    Scenario("memory", memory),
    Scenario("extension", extension),
)
