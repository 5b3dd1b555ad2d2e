"""`run`, `create`, `start`, `attach` and `exec`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.foreground import (
    Interrupts,
    begin_wait,
    carry,
    end_wait,
    require_terminal,
    signals_forwarded,
    start_container,
)
from pydock_lab.client.commands.container.options import create_body, read_environment
from pydock_lab.client.commands.failure import CommandError, EngineError, Interrupted
from pydock_lab.client.commands.session import Progress, Result, Session
from pydock_lab.errors import LabError
from pydock_lab.spec import reference

_DEAF = (
    "the container took no notice and was killed: a first process (pid 1) ignores what it has no handler for; "
    "with `--init` it would end at once"
)
_ID = re.compile(r"^(sha256:)?[a-f0-9]{64}$")


def run(arguments: Arguments, session: Session) -> Result:
    """Create a container and start it, in the foreground or with `-d` in the background."""
    if arguments.on("from-failed-step"):
        from pydock_lab.client.commands.container import failed_step

        arguments = failed_step.resolved(arguments, session)
    detached = arguments.on("detach")
    body = _body(arguments, session)
    if not detached:
        require_terminal(session, tty=body["Tty"], interactive=body["OpenStdin"])
        if size := _console_size(session, tty=body["Tty"]):
            body["HostConfig"]["ConsoleSize"] = size
    try:
        container_id = _create(arguments, session, body)
    except LabError as error:
        raise _run_failure(error, arguments) from error
    if detached:
        try:
            start_container(session, container_id)
        except LabError as error:
            raise _run_failure(error, arguments) from error
        return Result(text=container_id, container_id=container_id)
    try:
        return _run_in_foreground(arguments, session, body, container_id)
    except KeyboardInterrupt:
        if session.grace_s is not None and body["HostConfig"].get("AutoRemove"):
            with contextlib.suppress(LabError):  # it has never run, or would run on
                session.connection.request("DELETE", f"/containers/{container_id}", query={"force": True, "v": True})
        raise


def create(arguments: Arguments, session: Session) -> Result:
    """Create a container without starting it."""
    body = _body(arguments, session)
    container_id = _create(arguments, session, body)
    return Result(text=container_id, container_id=container_id)


def start(arguments: Arguments, session: Session) -> Result:
    """Start stopped containers; with `-a` or `-i`, one in the foreground."""
    names = arguments.positional
    if not (arguments.on("attach") or arguments.on("interactive")):
        failed = "Error: failed to start containers: "
        return each_named(names, session, lambda name: start_container(session, name), last=failed)
    if len(names) > 1:
        raise CommandError("you cannot start and attach multiple containers at once")
    document = session.inspect("containers", names[0])
    container_id, config = document["Id"], document["Config"]
    interactive = arguments.on("interactive") and config["OpenStdin"]
    require_terminal(session, tty=config["Tty"], interactive=interactive)
    stream = _attach(session, container_id, stdin=interactive)
    condition = "removed" if document["HostConfig"]["AutoRemove"] else "next-exit"
    with contextlib.closing(stream):
        waiting = begin_wait(session, container_id, condition=condition)
        start_container(session, container_id)
        keys = arguments.text("detach-keys")
        with _attached(session, container_id):
            return _follow(session, container_id, stream, waiting, config["Tty"], interactive, keys)


def attach(arguments: Arguments, session: Session) -> Result:
    """Show a running container's output and feed it stdin until it ends or the user detaches."""
    document = session.inspect("containers", arguments.positional[0])
    state, config, container_id = document["State"], document["Config"], document["Id"]
    if not state["Running"]:
        raise CommandError("cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise CommandError("cannot attach to a paused container, unpause it first")
    if state["Restarting"]:
        raise CommandError("cannot attach to a restarting container, wait until it is running")
    interactive = config["OpenStdin"] and not arguments.on("no-stdin")
    require_terminal(session, tty=config["Tty"], interactive=interactive)
    waiting = begin_wait(session, container_id, condition="not-running")
    stream, keys = _attach(session, container_id, stdin=interactive), arguments.text("detach-keys")
    with contextlib.closing(stream), _attached(session, container_id):
        return _follow(session, container_id, stream, waiting, config["Tty"], interactive, keys)


def exec_(arguments: Arguments, session: Session) -> Result:
    """Run a command in a running container."""
    container, *command = arguments.positional
    tty, interactive, detached = arguments.on("tty"), arguments.on("interactive"), arguments.on("detach")
    try:
        env = read_environment(arguments, session.directory, session.environment)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if not detached:
        require_terminal(session, tty=tty, interactive=interactive)
    document = {
        "Cmd": command,
        "User": arguments.text("user"),
        "Privileged": arguments.on("privileged"),
        "Tty": tty,
        "AttachStdin": interactive and not detached,
        "AttachStdout": not detached,
        "AttachStderr": not detached,
        "DetachKeys": arguments.text("detach-keys"),
        "Env": env,
        "WorkingDir": arguments.text("workdir"),
    }
    size = _console_size(session, tty=tty)
    start = {"Detach": False, "Tty": tty} | ({"ConsoleSize": size} if size else {})
    request = session.connection.request
    exec_id = request("POST", f"/containers/{container}/exec", document).json()["Id"]
    if detached:
        request("POST", f"/exec/{exec_id}/start", {"Detach": True, "Tty": tty})
        return Result()
    stream = session.connection.hijack(f"/exec/{exec_id}/start", start)

    def resized(rows: int, columns: int) -> None:
        request("POST", f"/exec/{exec_id}/resize", query={"h": rows, "w": columns})

    with contextlib.closing(stream):
        left = carry(
            session,
            stream,
            tty=tty,
            interactive=interactive,
            detach_keys=arguments.text("detach-keys"),
            resized=resized,
        )
    return Result() if left else Result(exit_code=int(request("GET", f"/exec/{exec_id}/json").json()["ExitCode"] or 0))


def each_named(
    names: tuple[str, ...], session: Session, action: Callable[[str], object], *, say: bool = True, last: str = ""
) -> Result:
    """Do the same to each of several objects.

    Args:
        names: As the user named them.
        session: The session.
        action: What to do to one.
        say: Show the name of each that worked.
        last: Begins a last line of the failure that lists the names that did not.

    Raises:
        CommandError: some failed; their messages, one a line.
    """
    failures: list[CommandError] = []
    done: list[str] = []
    for name in names:
        try:
            action(name)
        except LabError as error:
            failures.append(_failure(error))
        else:
            if say:
                session.say(name)
            done.append(name)
    if failures:
        if last:
            failures.append(CommandError(last + ", ".join(name for name in names if name not in done)))
        hint = next((failure.hint for failure in failures if failure.hint), None)
        raise CommandError("\n".join(failure.message for failure in failures), hint=hint)
    return Result(names=tuple(done))


def _body(arguments: Arguments, session: Session) -> dict[str, Any]:
    try:
        body = create_body(arguments, session.directory, session.environment)
        if not _ID.match(body["Image"]):
            reference.parse(body["Image"])
    except (ValueError, LabError) as error:
        raise _with_help(str(error), arguments, 125) from None
    return body


def _create(arguments: Arguments, session: Session, body: dict[str, Any]) -> str:
    """Create the container, pulling its image first where `--pull` and the local store say so."""
    from pydock_lab.client.commands.image.transfer import pull_image

    image, policy = body["Image"], arguments.text("pull")
    platform, quiet = arguments.text("platform"), arguments.on("quiet")
    if policy not in ("always", "missing", "never"):
        raise CommandError(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')
    if policy == "always":
        pull_image(session, image, platform=platform, quiet=quiet, aside=True)
    query = {"name": arguments.text("name") or None, "platform": platform or None}
    try:
        answer = session.connection.request("POST", "/containers/create", body, query=query).json()
    except EngineError as error:
        if policy != "missing" or error.status_code != 404 or "no such image" not in error.explanation.lower():
            raise
        if not quiet:
            familiar = reference.parse(image).familiar
            session.output.progress(Progress(f"Unable to find image '{familiar}' locally", aside=True))
        pull_image(session, image, platform=platform, quiet=quiet, aside=True)
        answer = session.connection.request("POST", "/containers/create", body, query=query).json()
    for warning in answer.get("Warnings") or ():
        session.say(f"WARNING: {warning}", "stderr")
    container_id = str(answer["Id"])
    if arguments.text("cidfile"):
        session.path(arguments.text("cidfile")).write_text(container_id)
    return container_id


def _run_in_foreground(arguments: Arguments, session: Session, body: dict[str, Any], container_id: str) -> Result:
    condition = "removed" if body["HostConfig"].get("AutoRemove") else "next-exit"
    stream = _attach(
        session, container_id, stdin=body["AttachStdin"], stdout=body["AttachStdout"], stderr=body["AttachStderr"]
    )
    with contextlib.closing(stream):
        waiting = begin_wait(session, container_id, condition=condition)
        with signals_forwarded(_signaller(session, container_id), grace_s=session.grace_s) as interrupts:
            try:
                start_container(session, container_id)
            except LabError as error:
                with contextlib.suppress(LabError):
                    if condition == "removed":
                        end_wait(waiting)
                waiting.close()
                raise _run_failure(error, arguments) from error
            keys = arguments.text("detach-keys")
            result = _follow(session, container_id, stream, waiting, body["Tty"], body["AttachStdin"], keys)
        if interrupts.count and session.grace_s is not None:
            raise Interrupted(hint=_DEAF if interrupts.killed else None)
        return result


def _attach(session: Session, container_id: str, *, stdin: bool, stdout: bool = True, stderr: bool = True) -> Any:
    return session.connection.hijack(
        f"/containers/{container_id}/attach", stream=1, stdin=int(stdin), stdout=int(stdout), stderr=int(stderr)
    )


def _follow(
    session: Session, container_id: str, stream: Any, waiting: Any, tty: bool, interactive: bool, detach_keys: str
) -> Result:
    """Carry a started container's streams to its end and return its exit status."""

    def resized(rows: int, columns: int) -> None:
        session.connection.request("POST", f"/containers/{container_id}/resize", query={"h": rows, "w": columns})

    if carry(session, stream, tty=tty, interactive=interactive, detach_keys=detach_keys, resized=resized):
        waiting.close()
        return Result(container_id=container_id)
    return Result(exit_code=end_wait(waiting), container_id=container_id)


def _attached(session: Session, container_id: str) -> contextlib.AbstractContextManager[Interrupts]:
    """Forward signals to a container that others may have started: a cell that is stopped lets it run on."""
    patience = 3 if session.grace_s is None else 1
    return signals_forwarded(_signaller(session, container_id), patience=patience)


def _signaller(session: Session, container_id: str) -> Callable[[str], None]:
    def send(name: str) -> None:
        session.connection.request("POST", f"/containers/{container_id}/kill", query={"signal": name})

    return send


def _console_size(session: Session, *, tty: bool) -> list[int]:
    """Return rows and columns to begin with, so that the process never sees a terminal without a size."""
    terminal = session.output.terminal() if tty else None
    return list(terminal.size()) if terminal is not None else []


def _failure(error: LabError) -> CommandError:
    return error if isinstance(error, CommandError) else CommandError(error.message, hint=error.hint)


def _run_failure(error: LabError, arguments: Arguments) -> CommandError:
    """Docker's exit statuses: 127 no such command, 126 it can't be executed, 125 everything else."""
    failure = _failure(error)
    text = failure.message.lower()
    code = 125
    if any(words in text for words in ("executable file not found", "no such file or directory")):
        code = 127
    elif any(words in text for words in ("permission denied", "is a directory", "exec format error")):
        code = 126
    return _with_help(failure.message, arguments, code, failure.hint)


def _with_help(message: str, arguments: Arguments, exit_code: int, hint: str | None = None) -> CommandError:
    command = arguments.command
    return CommandError(
        f"{command.program}: {message}\n\nRun '{command.line} --help' for more information",
        exit_code=exit_code,
        hint=hint,
    )
