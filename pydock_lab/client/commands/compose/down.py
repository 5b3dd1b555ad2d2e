"""`compose down` and `rm`."""

from __future__ import annotations

import contextlib
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.project import Work, begin, timeout_of
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.graph import visit
from pydock_lab.client.compose.resources import Resources
from pydock_lab.client.compose.stopping import in_reverse
from pydock_lab.spec import reference


def down(arguments: Arguments, session: Session) -> Result:
    """Stop and remove a project's containers and networks; with `-v` its volumes too."""
    rmi = arguments.text("rmi")
    if rmi not in ("", "all", "local"):
        raise CommandError(f'invalid value for --rmi: "{rmi}"')
    work = begin(arguments, session, files=False)
    named = arguments.positional
    known = {**work.project.services, **work.project.disabled}
    containers = [
        one
        for one in work.found
        if (one.service in known or arguments.on("remove-orphans")) and (not named or one.service in named)
    ]
    for name in named:
        work.project.service(name)
    stopping, timeout, volumes = work.stopping, timeout_of(arguments), arguments.on("volumes")
    in_reverse(
        work.project,
        containers,
        lambda one: stopping.remove(one, timeout_s=timeout, volumes=volumes),
        work.cancellation,
    )
    resources = Resources(session, work.project, work.report, work.cancellation)
    if named:
        used = [key for name in named for key in work.project.service(name).networks]
        resources.remove_networks({work.project.networks[key].name for key in used})
        return Result(names=named)
    tasks: dict[str, Any] = {"networks": resources.remove_networks}
    if volumes:
        tasks["volumes"] = resources.remove_volumes
    if rmi:
        tasks["images"] = lambda: _remove_images(work, rmi)
    visit(tasks, {}, lambda name: tasks[name](), work.cancellation)
    return Result()


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove stopped containers."""
    work = begin(arguments, session, arguments.positional, files=False)
    containers = work.of(arguments.positional)
    if arguments.on("stop"):
        in_reverse(work.project, containers, work.stopping.stop, work.cancellation)
    else:
        containers = [one for one in containers if not one.running]
    if not containers:
        work.report.line("No stopped containers")
        return Result()
    names = ", ".join(one.name for one in containers)
    if work.report.dry_run or arguments.on("force"):
        session.say(f"Going to remove {names}")
    elif not _confirmed(session, names):
        return Result()
    volumes = arguments.on("volumes")

    def gone(container: Any) -> None:
        work.report.did("Container", container.name, "Removing")
        with contextlib.suppress(EngineError):
            session.connection.request(
                "DELETE", f"/containers/{container.id}", query={"v": volumes, "force": arguments.on("stop")}
            )
        work.report.did("Container", container.name, "Removed")

    in_reverse(work.project, containers, gone, work.cancellation)
    return Result(names=tuple(one.name for one in containers))


def _confirmed(session: Session, names: str) -> bool:
    question = f"Going to remove {names}\nAre you sure? [yN] "
    if session.stdin is None:
        raise CommandError(question.strip(), hint="nobody can answer here: add -f to go on without the question")
    session.output.write("stdout", question)
    return session.stdin.readline().strip().lower() in (b"y", b"yes")


def _remove_images(work: Work, which: str) -> None:
    """`--rmi local`: those built without a name of their own; `all`: every image of a service."""
    from pydock_lab.client.compose.body import image_name  # not worth its import to a `down` without --rmi

    services = work.project.services
    names = {
        reference.parse(image_name(work.project, name)).familiar
        for name in services
        if which == "all" or not services[name].image
    }

    def one(name: str) -> None:
        work.report.did("Image", name, "Removing")
        try:
            work.session.connection.request("DELETE", f"/images/{name}")
        except EngineError as error:
            if error.status_code == 404:
                work.report.warn(f"Image {name} not found")
                return
            if error.status_code == 409:
                work.report.did("Image", name, "Resource is still in use")
                return
            raise
        work.report.did("Image", name, "Removed")

    visit(names, {}, one, work.cancellation)
