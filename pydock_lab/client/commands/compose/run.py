"""`compose run`, `exec`, `attach` and `cp`: one container of a service."""

from __future__ import annotations

import secrets

import msgspec

from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.compose.converge import bring_about
from pydock_lab.client.commands.compose.project import Work, begin
from pydock_lab.client.commands.container import files as container_files
from pydock_lab.client.commands.container import run as container_run
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.grammar import load
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose import body, dotenv, labels
from pydock_lab.client.compose.converge import Policy
from pydock_lab.client.compose.images import Images
from pydock_lab.client.compose.model import Port, Service, Volume
from pydock_lab.client.compose.ports import parse_port
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import nearest
from pydock_lab.client.compose.resources import Resources
from pydock_lab.client.compose.starting import Starting
from pydock_lab.client.compose.state import Observed
from pydock_lab.client.compose.stopping import in_reverse
from pydock_lab.client.compose.volume_spec import parse_volume


def exec_(arguments: Arguments, session: Session) -> Result:
    """Run a command in a container of a service."""
    name, *command = arguments.positional
    work = begin(arguments, session, (name,), files=False)
    container = work.one(name, _index(arguments))
    interactive = session.stdin is not None and not arguments.on("detach")
    flags = ["--interactive"] if interactive else []
    if session.output.terminal() is not None and not _without_terminal(arguments) and interactive:
        flags.append("--tty")
    flags += [f"--{flag}" for flag in ("detach", "privileged") if arguments.on(flag)]
    flags += [f"--{flag}={arguments.text(flag)}" for flag in ("user", "workdir") if arguments.text(flag)]
    flags += [f"--env={entry}" for entry in arguments.many("env")]
    return container_run.exec_(_docker("exec", [*flags, container.id, *command]), session)


def attach(arguments: Arguments, session: Session) -> Result:
    """Show a running container's output and feed it stdin."""
    work = begin(arguments, session, arguments.positional, files=False)
    container = work.one(arguments.positional[0], _index(arguments))
    flags = ["--no-stdin"] if arguments.on("no-stdin") else []
    if arguments.text("detach-keys"):
        flags.append(f"--detach-keys={arguments.text('detach-keys')}")
    return container_run.attach(_docker("attach", [*flags, container.id]), session)


def copy(arguments: Arguments, session: Session) -> Result:
    """Copy between a service's container and the user's files."""
    work = begin(arguments, session, files=False)
    source, target = arguments.positional
    (origin, inner), (name, path) = map(container_files.split_container_path, (source, target))
    if origin and name:
        raise CommandError("copying between services is not supported")
    if not origin and not name:
        raise CommandError("unknown copy direction", hint="a place in a container is SERVICE:PATH")
    flags = ["--quiet", *(f"--{flag}" for flag in ("archive", "follow-link") if arguments.on(flag))]

    def words(container: str) -> list[str]:
        return [f"{container}:{inner}", target] if origin else [source, f"{container}:{path}"]

    for container in _copied(arguments, work, origin or name)[: 1 if origin else None]:
        said = f" {container.name} copy {' to '.join(words(container.name))}"
        work.report.step(f"{said} Copying")
        if not work.report.dry_run:
            container_files.copy(_docker("cp", [*flags, *words(container.id)]), session)
        work.report.step(f"{said} Copied")
    return Result()


def commit(arguments: Arguments, session: Session) -> Result:
    """Make an image of what a service's container has changed."""
    name, *image = arguments.positional
    container = begin(arguments, session, (name,), files=False).one(name, _index(arguments))
    flags = [f"--{flag}={arguments.text(flag)}" for flag in ("author", "message") if arguments.text(flag)]
    flags += [] if arguments.on("pause") else ["--pause=false"]
    flags += [f"--change={change}" for change in arguments.many("change")]
    return container_files.commit(_docker("commit", [*flags, container.id, *image]), session)


def export(arguments: Arguments, session: Session) -> Result:
    """Write the file system of a service's container as a tar archive."""
    name = arguments.positional[0]
    container = begin(arguments, session, (name,), files=False).one(name, _index(arguments))
    flags = [f"--output={arguments.text('output')}"] if arguments.text("output") else []
    return container_files.export(_docker("export", [*flags, container.id]), session)


def _copied(arguments: Arguments, work: Work, name: str) -> list[Observed]:
    """The containers that `cp` is about, stopped ones as well: one of them by its number, else all."""
    if index := _index(arguments):
        return [work.one(name, index)]
    found = [one for one in (work.found if arguments.on("all") else work.containers) if one.service == name]
    if not found:
        raise ComposeError(
            f'no container found for service "{name}"', exit_code=1, hint=nearest(name, work.project.services)
        )
    return sorted(found, key=lambda one: one.number)


def run(arguments: Arguments, session: Session) -> Result:
    """Run a command in a new container of a service, with what the service depends on."""
    name, *command = arguments.positional
    work = begin(arguments, session, (name,), quiet=arguments.on("quiet"))
    work.project.service(name)
    if arguments.on("remove-orphans"):
        in_reverse(work.project, work.orphans, work.stopping.remove, work.cancellation)
    needed = tuple(one for one in work.project.selected((name,), dependencies=True) if one != name)
    if needed and not arguments.on("no-deps"):
        others = bring_about(
            work, needed, Policy(), quiet=_quiet(arguments, "pull"), quiet_build=_quiet(arguments, "build")
        )
        starting = Starting(session, work.project, work.report, work.cancellation, others.containers, say_waits=False)
        starting.start(needed)
        starting.await_conditions(name)
    if work.report.dry_run:
        raise CommandError("interactive run is not supported in dry-run mode")
    service = _changed(arguments, session, work.project.services[name], command)
    work = msgspec.structs.replace(
        work, project=msgspec.structs.replace(work.project, services={**work.project.services, name: service})
    )
    identifier = _create(arguments, work, name)
    if arguments.on("detach"):
        session.connection.request("POST", f"/containers/{identifier}/start")
        return Result(text=identifier, container_id=identifier)
    flags = ["--attach", "--interactive"] if session.stdin is not None else ["--attach"]
    try:
        found = container_run.start(_docker("start", [*flags, identifier]), session)
    finally:
        if arguments.on("rm"):
            path = f"/containers/{identifier}"
            session.connection.request("DELETE", path, query={"force": True, "v": True})
    return found


def _create(arguments: Arguments, work: Work, name: str) -> str:
    images = Images(work.session, work.project, work.report, work.cancellation)
    quiet, quiet_build = _quiet(arguments, "pull"), _quiet(arguments, "build")
    build, pull = arguments.on("build"), arguments.text("pull")
    image_id = images.ensure((name,), build=build, pull=pull, quiet=quiet, quiet_build=quiet_build)[name]
    Resources(work.session, work.project, work.report, work.cancellation).make()
    convergence = work.convergence()
    container = arguments.text("name") or f"{work.project.name}-{name}-run-{secrets.token_hex(6)}"
    document = body.create_body(
        work.project,
        name,
        number=1,
        image_id=image_id,
        container=container,
        peers=convergence.peers(name),
        oneoff=True,
    )
    terminal = work.session.output.terminal() is not None and work.session.stdin is not None
    document["Tty"] = terminal and not arguments.on("no-TTY") and not arguments.on("detach")
    document["OpenStdin"] = document["StdinOnce"] = arguments.on("interactive") and work.session.stdin is not None
    document["AttachStdin"] = document["OpenStdin"]
    document["HostConfig"]["RestartPolicy"] = {"Name": "", "MaximumRetryCount": 0}
    document["Labels"] |= dict(entry.partition("=")[::2] for entry in arguments.many("label"))
    document["Labels"][labels.DEPENDS_ON] = ""
    return convergence.make(name, container, document, aliases=arguments.on("use-aliases"))


def _changed(arguments: Arguments, session: Session, service: Service, command: list[str]) -> Service:
    """The service as the command line wants it this once."""
    changes: dict[str, object] = {"container_name": "", "healthcheck": service.healthcheck}
    if command:
        changes["command"] = command
    if arguments.has("entrypoint"):
        entrypoint = arguments.text("entrypoint")
        changes["entrypoint"] = entrypoint.split() if entrypoint else []
        changes.setdefault("command", [])
    environment = dict(service.environment)
    for path in arguments.many("env-from-file"):
        environment |= _env_file(session, path)
    for entry in arguments.many("env"):
        key, equals, value = entry.partition("=")
        environment[key] = value if equals else session.environment.get(key)
    try:
        published = [port for entry in arguments.many("publish") for port in parse_port(entry)]
        mounted = [parse_volume(entry) for entry in arguments.many("volume")]
    except ValueError as error:
        raise CommandError(str(error)) from None
    for volume in mounted:
        if volume["type"] == "bind":
            volume["source"] = str(session.path(volume["source"]))
    ports = list(service.ports) if arguments.on("service-ports") else []
    changes |= {
        "environment": environment,
        "ports": [*ports, *msgspec.convert(published, list[Port])],
        "volumes": [*service.volumes, *msgspec.convert(mounted, list[Volume])],
        "cap_add": [*service.cap_add, *arguments.many("cap-add")],
        "cap_drop": [*service.cap_drop, *arguments.many("cap-drop")],
    }
    for flag, key in (("user", "user"), ("workdir", "working_dir")):
        if arguments.text(flag):
            changes[key] = arguments.text(flag)
    return msgspec.structs.replace(service, **changes)


def _quiet(arguments: Arguments, what: str) -> bool:
    return arguments.on("quiet") or arguments.on(f"quiet-{what}")


def _env_file(session: Session, path: str) -> dict[str, str | None]:
    try:
        return dict(dotenv.parse(session.path(path).read_text("utf-8"), session.environment, name=path))
    except FileNotFoundError:
        raise CommandError(f"open {path}: no such file or directory") from None
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None


def _without_terminal(arguments: Arguments) -> bool:
    return arguments.on("no-tty") or arguments.on("no-TTY")  # the older name


def _docker(verb: str, words: list[str]) -> Arguments:
    command = load().command("container", verb)
    assert command is not None
    return parse(command, words)


def _index(arguments: Arguments) -> int:
    return arguments.number("index") if arguments.has("index") else 0
