"""The daemon's own life: start, two side by side, stop without a trace, and the look that finds traces."""

from collections.abc import Callable

import pytest

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
