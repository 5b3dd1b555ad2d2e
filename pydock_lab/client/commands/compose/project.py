"""What every Compose command begins with: which project, which of its services, which containers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from pydock_lab.client.commands import values
from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.graph import Cancellation
from pydock_lab.client.compose.load import Source, load
from pydock_lab.client.compose.problem import NOT_FOUND, ComposeError
from pydock_lab.client.compose.project import Project, nearest
from pydock_lab.client.compose.report import OneAtATime, Report
from pydock_lab.client.compose.state import Observed, observe, project_of_containers
from pydock_lab.client.compose.stopping import Stopping

if TYPE_CHECKING:
    from pydock_lab.client.compose.converge import Convergence


class Work(msgspec.Struct, frozen=True):
    """A command at work on a project.

    Attributes:
        session: Of the front end.
        project: The project.
        report: Says what is done.
        cancellation: Stops what waits.
        found: The project's containers at the beginning, with those that `run` made.
    """

    session: Session
    project: Project
    report: Report
    cancellation: Cancellation
    found: tuple[Observed, ...] = ()

    @property
    def containers(self) -> list[Observed]:
        """The containers of the project's services, without those that `run` made."""
        return [one for one in self.found if not one.oneoff]

    @property
    def orphans(self) -> list[Observed]:
        """Containers of services that the file no longer has."""
        known = {**self.project.services, **self.project.disabled}
        return [one for one in self.found if one.service not in known]

    def of(self, names: tuple[str, ...], *, index: int = 0) -> list[Observed]:
        """The containers of the services named, or of all."""
        for name in names:
            self.project.service(name)
        wanted = set(names or self.project.services)
        return [one for one in self.containers if one.service in wanted and index in (0, one.number)]

    def one(self, name: str, index: int = 0) -> Observed:
        """A running container of a service.

        Raises:
            ComposeError: there is none.
        """
        found = [one for one in self.containers if one.service == name and one.running and index in (0, one.number)]
        if not found:
            more = f" container #{index}" if index else ""
            known = name in self.project.services or name in self.project.disabled
            hint = f"start it first: compose up -d {name}" if known else nearest(name, self.project.services)
            raise ComposeError(f'service "{name}" is not running{more}', exit_code=1, hint=hint)
        return found[0]

    @property
    def stopping(self) -> Stopping:
        """What stops and removes containers."""
        return Stopping(self.session, self.project, self.report)

    def convergence(self) -> Convergence:
        """What makes containers."""
        from pydock_lab.client.compose.converge import Convergence  # half of what is read; `down` goes without

        return Convergence(self.session, self.project, self.report, self.cancellation, self.found)


def source_of(arguments: Arguments, session: Session) -> Source:
    """Where the flags say that the project comes from; `-f -` is stdin."""
    files, text = arguments.many("file"), None
    if files == ["-"]:
        if session.stdin is None:
            raise CommandError("there is no Compose file on stdin")
        text, files = session.stdin.read().decode(), []
    directory = arguments.text("project-directory")
    return Source(
        directory=session.directory,
        environment=session.environment,
        files=tuple(files),
        text=text,
        name=arguments.text("project-name"),
        project_directory=session.path(directory) if directory else None,
        env_files=tuple(arguments.many("env-file")),
        profiles=tuple(arguments.many("profile")),
        consistent=arguments.command.flag("no-consistency") is None or not arguments.on("no-consistency"),
    )


def project_of(arguments: Arguments, session: Session, services: tuple[str, ...] = ()) -> Project:
    """Read the project, saying what its files are to be warned of.

    Args:
        arguments: Of the command.
        session: The session.
        services: Those that the user named.
    """
    project = load(source_of(arguments, session), services=services)
    report = Report(session)
    for warning in project.warnings:
        report.warn(warning)
    return project


def begin(
    arguments: Arguments, session: Session, services: tuple[str, ...] = (), *, files: bool = True, quiet: bool = False
) -> Work:
    """Read the project and look what of it is on the engine.

    Args:
        arguments: Of the command.
        session: The session.
        services: Those that the user named.
        files: The command needs the Compose file; without it, `-p NAME` is enough.
        quiet: Say no steps.
    """
    session = replace(session, output=OneAtATime(session.output))
    try:
        project = project_of(arguments, session, services)
    except ComposeError as error:
        name = arguments.text("project-name") or session.environment.get("COMPOSE_PROJECT_NAME", "")
        if files or error.exit_code != NOT_FOUND or not name or arguments.many("file"):
            raise
        project = project_of_containers(session, name)
    quiet = quiet or arguments.text("progress") == "quiet"
    found = tuple(observe(session, project.name, oneoff=True))
    return Work(session, project, Report(session, quiet=quiet, dry_run=arguments.on("dry-run")), Cancellation(), found)


def scaled(project: Project, entries: list[str]) -> Project:
    """Give services another number of containers: `["web=3"]`.

    Raises:
        CommandError: an entry is malformed, or there is no such service.
    """
    services = dict(project.services)
    for entry in entries:
        name, number = values.key_value(entry)
        if not number.isdigit():
            raise CommandError(f"invalid scale specifier: {entry}", hint="write SERVICE=NUMBER, as in web=3")
        project.service(name)
        deploy = services[name].deploy
        services[name] = msgspec.structs.replace(
            services[name],
            scale=int(number),
            deploy=deploy and msgspec.structs.replace(deploy, replicas=int(number)),
        )
    return msgspec.structs.replace(project, services=services)


def timeout_of(arguments: Arguments) -> int | None:
    """`--timeout`, or None for each container's own."""
    return arguments.number("timeout") if arguments.has("timeout") else None
