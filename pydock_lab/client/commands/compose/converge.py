"""What `up`, `create`, `scale` and `watch` have in common: everything there should be, made and not started."""

from __future__ import annotations

from pydock_lab.client.commands.compose.project import Work
from pydock_lab.client.compose.converge import Convergence, Policy
from pydock_lab.client.compose.images import Images
from pydock_lab.client.compose.resources import Resources


def bring_about(
    work: Work,
    selected: tuple[str, ...],
    policy: Policy,
    *,
    build: bool = False,
    no_build: bool = False,
    pull: str = "",
    quiet: bool = False,
    quiet_build: bool = False,
) -> Convergence:
    """Make networks, volumes, images and containers of services.

    Args:
        work: The command at work.
        selected: Services, with those they depend on.
        policy: When containers are replaced.
        build: Build images that can be, even if they are there.
        no_build: Build none.
        pull: As `up --pull`.
        quiet: Show no progress of pulls.
        quiet_build: Show nothing of builds.
    """
    images = Images(work.session, work.project, work.report, work.cancellation)
    ids = images.ensure(selected, build=build, no_build=no_build, pull=pull, quiet=quiet, quiet_build=quiet_build)
    Resources(work.session, work.project, work.report, work.cancellation).make()
    convergence = work.convergence()
    convergence.create(selected, ids, policy)
    return convergence
