"""The daemon's own life: start, two side by side, stop without a trace, and the look that finds traces."""

import json
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pydock_lab.daemon.linux import capabilities, syscalls
from tests.conftest import Daemon, Footprint

pytestmark = pytest.mark.root


def test_two_daemons_side_by_side(own_daemon: Callable[..., Daemon]) -> None:
    first, second = own_daemon(), own_daemon()
    for daemon in (first, second):
        assert daemon.docker("pull", "-q", "busybox").returncode == 0
        assert (
            daemon.docker("run", "-d", "--stop-signal", "KILL", "--name", "same", "busybox", "sleep", "60").returncode
            == 0
        )
    assert first.docker("rm", "-f", "same").returncode == 0
    assert second.docker("ps", "-q").stdout.strip()
    # Both stop here, and the fixture asserts that nothing of either is left.


def test_the_footprint_sees_what_a_running_daemon_has(own_daemon: Callable[..., Daemon]) -> None:
    """A check for leaks that finds nothing while containers run would be no check."""
    daemon = own_daemon()
    daemon.docker("pull", "-q", "busybox")
    daemon.docker("run", "-d", "--stop-signal", "KILL", "busybox", "sleep", "60")
    seen = Footprint.of(daemon.root)
    assert seen.links
    assert seen.tables
    assert seen.cgroups
    assert seen.processes


def test_a_second_daemon_on_the_same_socket_is_refused(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon()
    with pytest.raises(RuntimeError, match="another daemon serves it"):
        own_daemon("-H", daemon.host)


def test_a_second_daemon_on_the_same_data_root_is_refused(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon()
    with pytest.raises(RuntimeError, match=f"in use by the daemon with process id {daemon.process.pid}"):
        own_daemon("--data-root", str(daemon.data_root))
    assert daemon.docker("ps").returncode == 0


def test_a_daemon_that_may_not_raise_limits_runs_with_what_there_is(own_daemon: Callable[..., Daemon]) -> None:
    """In a container or a sandbox CAP_SYS_RESOURCE is missing, as a rule: said when it is asked for, no obstacle."""

    def start_without() -> Daemon:
        syscalls.prctl(syscalls.PR_CAPBSET_DROP, capabilities.NUMBERS["CAP_SYS_RESOURCE"])
        return own_daemon()

    with ThreadPoolExecutor(1) as thread:  # capabilities are a thread's
        daemon = thread.submit(start_without).result()
    daemon.docker("pull", "-q", "busybox")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    score = int(Path("/proc/self/oom_score_adj").read_text())
    flags = ("--ulimit", f"nofile=512:{most + 1}", "--oom-score-adj", str(score - 1), "--cap-add", "SYS_RESOURCE")
    show = "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj"
    ran = daemon.docker("run", "--name", "less", *flags, "busybox", "sh", "-c", show)
    assert ran.stdout.split() == ["512", str(most), str(score)]
    assert [line for line in ran.stderr.splitlines() if line] == [
        f"WARNING: The daemon has no CAP_SYS_RESOURCE here: {rest}"
        for rest in (
            f"ulimit nofile {most + 1} is reduced to {most}.",
            f"the OOM score adjustment stays {score} instead of {score - 1}.",
            "the container is not given it either.",
        )
    ]
    warnings = json.loads(daemon.docker("inspect", "-f", "{{json .Warnings}}", "less").stdout)
    assert warnings == [
        f"RLIMIT_NOFILE is clamped to {most}: raising it needs CAP_SYS_RESOURCE",
        "oom_score_adj stays as it is: lowering it needs CAP_SYS_RESOURCE",
    ]
    unchanged = daemon.docker("run", "--rm", "--privileged", "--ulimit", f"nofile=512:{most}", "busybox", "true")
    assert (unchanged.returncode, unchanged.stderr) == (0, "")
