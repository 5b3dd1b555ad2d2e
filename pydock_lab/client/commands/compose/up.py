"""`compose up`, `create` and `scale`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.converge import bring_about
from pydock_lab.client.commands.compose.project import Work, begin, scaled, timeout_of
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.attached import Attached
from pydock_lab.client.compose.converge import Convergence, Policy
from pydock_lab.client.compose.graph import Cancellation
from pydock_lab.client.compose.report import Report
from pydock_lab.client.compose.starting import Starting
from pydock_lab.client.compose.state import Observed, observe
from pydock_lab.client.compose.stopping import in_reverse

if TYPE_CHECKING:
    from pydock_lab.client.commands.compose.watch import Rules

_WATCH_ENDS_S = 10.0
"""How long a change that is being carried out may take to notice that the command ends."""


def up(arguments: Arguments, session: Session) -> Result:
    """Create and start a project's containers, in the foreground or with `-d` in the background."""
    _check_flags(arguments)
    work = begin(arguments, session, arguments.positional)
    work = msgspec.structs.replace(work, project=scaled(work.project, arguments.many("scale")))
    rules: Rules = []
    if arguments.on("watch"):
        from pydock_lab.client.commands.compose.watch import rules_of

        rules = rules_of(work, work.project.selected(arguments.positional, dependencies=False))
    detached = arguments.on("detach") or arguments.on("wait")
    started = time.time()
    selected, convergence = _create(arguments, work, _policy(arguments))
    if arguments.on("no-start"):
        return Result(names=selected)
    if work.report.dry_run and not detached:
        work.session.say("end of 'compose up' output, interactive run is not supported in dry-run mode")
        return Result(names=selected)
    attached = None if detached else Attached(work.session, _attached_to(arguments, work, selected), since=started)
    report = work.report if detached else Report(session, quiet=True)  # the output speaks for itself
    starting = Starting(session, work.project, report, work.cancellation, convergence.containers)
    if attached is not None:
        attached.colour = session.output.terminal() is not None and not arguments.on("no-color")
        attached.prefix = not arguments.on("no-log-prefix")
        attached.timestamps = arguments.on("timestamps")
    starting.start(selected, dependencies=not arguments.on("no-deps"), restart=convergence.replaced)
    if arguments.on("wait"):
        timeout = arguments.number("wait-timeout") if arguments.has("wait-timeout") else None
        starting.await_all(selected, timeout_s=timeout)
    if attached is None:
        return Result(names=selected)
    containers = [one for name in selected for one in convergence.containers.get(name, ())]
    if not rules:
        return _in_foreground(arguments, work, attached, containers)
    end_watch = _watched(work, rules, attached)
    try:
        return _in_foreground(arguments, work, attached, containers, end_watch)
    finally:
        end_watch()


def create(arguments: Arguments, session: Session) -> Result:
    """Create a project's containers; none is started."""
    work = begin(arguments, session, arguments.positional)
    work = msgspec.structs.replace(work, project=scaled(work.project, arguments.many("scale")))
    selected, _ = _create(arguments, work, _policy(arguments))
    return Result(names=selected)


def scale(arguments: Arguments, session: Session) -> Result:
    """Give services another number of containers."""
    names = tuple(entry.partition("=")[0] for entry in arguments.positional)
    work = begin(arguments, session, names)
    work = msgspec.structs.replace(work, project=scaled(work.project, list(arguments.positional)))
    selected = work.project.selected(names, dependencies=not arguments.on("no-deps"))
    convergence = bring_about(work, selected, Policy(never=True))
    starting = Starting(session, work.project, work.report, work.cancellation, convergence.containers)
    starting.start(selected, dependencies=not arguments.on("no-deps"))
    return Result(names=selected)


def _check_flags(arguments: Arguments) -> None:
    if arguments.on("force-recreate") and arguments.on("no-recreate"):
        raise CommandError("--force-recreate and --no-recreate are incompatible")
    if arguments.on("build") and arguments.on("no-build"):
        raise CommandError("--build and --no-build are incompatible")
    stops = arguments.on("abort-on-container-exit") or arguments.on("abort-on-container-failure")
    ends = stops or arguments.has("exit-code-from") or arguments.on("watch")
    if ends and (arguments.on("detach") or arguments.on("wait")):
        raise CommandError(
            "--detach cannot be combined with --abort-on-container-exit, --attach, --attach-dependencies or --watch"
        )


def _policy(arguments: Arguments) -> Policy:
    has = arguments.command.flag
    return Policy(
        force=arguments.on("force-recreate"),
        never=arguments.on("no-recreate"),
        renew_volumes=has("renew-anon-volumes") is not None and arguments.on("renew-anon-volumes"),
        stop_timeout_s=timeout_of(arguments) if has("timeout") else None,
    )


def _create(arguments: Arguments, work: Work, policy: Policy) -> tuple[tuple[str, ...], Convergence]:
    dependencies = arguments.command.flag("no-deps") is None or not arguments.on("no-deps")
    selected = work.project.selected(arguments.positional, dependencies=dependencies)
    if arguments.command.flag("always-recreate-deps") and arguments.on("always-recreate-deps"):
        policy = msgspec.structs.replace(policy, forced=frozenset(selected) - frozenset(arguments.positional))
    orphans = work.orphans
    if orphans and arguments.on("remove-orphans"):
        in_reverse(work.project, orphans, work.stopping.remove, work.cancellation)
    elif orphans:
        names = " ".join(one.name for one in orphans)
        work.report.warn(
            f"Found orphan containers ([{names}]) for this project. If you removed or renamed this service in your "
            "compose file, you can run this command with the --remove-orphans flag to clean it up."
        )
    convergence = bring_about(
        work,
        selected,
        policy,
        build=arguments.on("build"),
        no_build=arguments.on("no-build"),
        pull=arguments.text("pull"),
        quiet=arguments.on("quiet-pull"),
        quiet_build=arguments.command.flag("quiet-build") is not None and arguments.on("quiet-build"),
    )
    return selected, convergence


def _attached_to(arguments: Arguments, work: Work, selected: Iterable[str]) -> set[str]:
    """The services whose output is shown."""
    named = arguments.many("attach")
    for name in (*named, *arguments.many("no-attach")):
        work.project.service(name)
    shown = set(named) or {name for name in selected if work.project.services[name].attach is not False}
    if arguments.positional and not arguments.on("attach-dependencies") and not named:
        shown &= set(arguments.positional)
    return shown - set(arguments.many("no-attach"))


def _watched(work: Work, rules: Rules, attached: Attached) -> Callable[[], None]:
    """Follow the files beside the output; returns what ends it: then nothing of it makes or starts a container."""
    from pydock_lab.client.commands.compose.watch import Watching

    found = tuple(observe(work.session, work.project.name, oneoff=True))
    stopped, cancellation = threading.Event(), Cancellation()
    watching = Watching(msgspec.structs.replace(work, found=found, cancellation=cancellation), rules, attached.adopt)
    attached.lasting = True
    thread = threading.Thread(target=watching.until, args=(stopped,), name="watch", daemon=True)
    thread.start()
    work.session.say("Watch enabled")

    def end() -> None:
        stopped.set()
        cancellation.cancel()
        thread.join(_WATCH_ENDS_S)

    return end


def _in_foreground(
    arguments: Arguments,
    work: Work,
    attached: Attached,
    containers: list[Observed],
    end_watch: Callable[[], None] | None = None,
) -> Result:
    """Show the output until all have ended or the user has had enough; then stop what runs."""
    code_from = arguments.text("exit-code-from")
    abort = arguments.on("abort-on-container-exit") or bool(code_from)
    on_failure = arguments.on("abort-on-container-failure")
    if code_from:
        work.project.service(code_from)
    code = 0
    try:
        code = attached.until_end(containers, abort=abort, on_failure=on_failure, code_from=code_from)
        if not abort and not (on_failure and code):
            return Result(exit_code=code)
        work.report.line("Aborting on container exit...")
    except KeyboardInterrupt:
        work.report.line("Gracefully stopping... (press Ctrl+C again to force)")
        code = 130
    stopping, timeout = work.stopping, timeout_of(arguments)
    try:
        if end_watch is not None:
            end_watch()
            services = {one.service for one in containers}
            containers = [one for one in observe(work.session, work.project.name) if one.service in services]
        in_reverse(work.project, containers, lambda one: stopping.stop(one, timeout_s=timeout), work.cancellation)
    except KeyboardInterrupt:
        in_reverse(work.project, containers, lambda one: _kill(work, one), type(work.cancellation)())
    attached.close()
    return Result(exit_code=code)


def _kill(work: Work, container: Observed) -> None:
    import contextlib

    with contextlib.suppress(CommandError):
        work.session.connection.request("POST", f"/containers/{container.id}/kill")
