"""`compose start`, `stop`, `restart`, `kill`, `pause`, `unpause` and `wait`."""

from __future__ import annotations

from collections.abc import Callable

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.project import Work, begin, timeout_of
from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.graph import visit
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.starting import Starting
from pydock_lab.client.compose.state import Observed
from pydock_lab.client.compose.stopping import in_reverse


def start(arguments: Arguments, session: Session) -> Result:
    """Start containers that exist."""
    work = begin(arguments, session, arguments.positional, files=False)
    selected = work.project.selected(arguments.positional, dependencies=True)
    _start(work, selected)
    return Result(names=selected)


def stop(arguments: Arguments, session: Session) -> Result:
    """Stop containers without removing them."""
    work = begin(arguments, session, arguments.positional, files=False)
    containers = [one for one in work.of(arguments.positional) if one.running]
    timeout, stopping = timeout_of(arguments), work.stopping

    in_reverse(work.project, containers, lambda one: stopping.stop(one, timeout_s=timeout), work.cancellation)
    return Result(names=tuple(one.name for one in containers))


def restart(arguments: Arguments, session: Session) -> Result:
    """Stop containers and start them again."""
    work = begin(arguments, session, arguments.positional, files=False)
    names = set(arguments.positional)
    if names and not arguments.on("no-deps"):
        for name, service in work.project.services.items():
            if any(key in names and found.restart for key, found in service.depends_on.items()):
                names.add(name)
    query = {"t": timeout_of(arguments)}

    containers = work.of(tuple(sorted(names)))
    by_service = {name: [one for one in containers if one.service == name] for name in work.project.order()}
    after = {name: work.project.dependencies(name) for name in by_service}

    def again(name: str) -> None:
        for container in by_service[name]:
            work.report.did("Container", container.name, "Restarting")
            session.connection.request("POST", f"/containers/{container.id}/restart", query=query)
            work.report.did("Container", container.name, "Started")

    visit(by_service, after, again, work.cancellation)
    return Result(names=tuple(one.name for one in containers))


def kill(arguments: Arguments, session: Session) -> Result:
    """Send a signal to running containers."""
    work = begin(arguments, session, arguments.positional, files=False)
    signal = arguments.text("signal")
    services = {one.service for one in work.of(arguments.positional)}
    running = [one for one in work.found if one.running and one.service in services]  # with those that `run` made
    if not running:
        work.report.line("no container to kill")

    def send(container: Observed) -> None:
        work.report.did("Container", container.name, "Killing")
        try:
            session.connection.request("POST", f"/containers/{container.id}/kill", query={"signal": signal})
        except EngineError as error:
            if error.status_code != 409:  # it has ended meanwhile
                raise
        work.report.did("Container", container.name, "Killed")

    _each(work, running, send)
    if arguments.on("remove-orphans"):
        in_reverse(work.project, work.orphans, work.stopping.remove, work.cancellation)
    return Result()


def pause(arguments: Arguments, session: Session) -> Result:
    """Freeze containers."""
    work = begin(arguments, session, arguments.positional, files=False)
    _freeze(work, work.of(arguments.positional), "pause", "Paused")
    return Result()


def unpause(arguments: Arguments, session: Session) -> Result:
    """Let frozen containers go on."""
    work = begin(arguments, session, arguments.positional, files=False)
    _freeze(work, work.of(arguments.positional), "unpause", "Unpaused")
    return Result()


def wait(arguments: Arguments, session: Session) -> Result:
    """Wait until containers have ended; the exit status is the last one's."""
    work = begin(arguments, session, arguments.positional, files=False)
    containers = work.of(arguments.positional)
    if not containers:
        raise ComposeError(f"no containers for project {work.project.name!r}".replace("'", '"'), exit_code=1)
    code = 0
    for container in containers:
        document = session.connection.request("POST", f"/containers/{container.id}/wait").json()
        code = int(document["StatusCode"])
        session.say(f"container {container.id!r} exited with status code {code}".replace("'", '"'))
        if arguments.on("down-project"):
            in_reverse(work.project, work.containers, work.stopping.remove, work.cancellation)
            break
    return Result(exit_code=code)


def _start(work: Work, selected: tuple[str, ...]) -> None:
    containers = {name: [one for one in work.containers if one.service == name] for name in selected}
    for name in selected:
        if not containers[name] and work.project.services[name].replicas > 0:
            raise ComposeError(
                f'service "{name}" has no container to start', exit_code=1, hint="make them first: compose up -d"
            )
    Starting(work.session, work.project, work.report, work.cancellation, containers).start(selected)


def _freeze(work: Work, containers: list[Observed], verb: str, done: str) -> None:
    """What is so already is an error of the engine's, which the user is to see: Compose shows it too."""

    def one(container: Observed) -> None:
        work.session.connection.request("POST", f"/containers/{container.id}/{verb}")
        work.report.did("Container", container.name, done)

    _each(work, [one for one in containers if one.running], one)


def _each(work: Work, containers: list[Observed], action: Callable[[Observed], None]) -> None:
    by_id = {one.id: one for one in containers}
    visit(by_id, {}, lambda identifier: action(by_id[identifier]), work.cancellation)
