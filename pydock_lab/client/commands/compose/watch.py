"""`compose watch` and `up --watch`: sync, rebuild or restart services when their files change.

Source: compose-spec develop.md. Files are looked at twice a second: it works on
every file system, also on those that report no changes.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.converge import bring_about
from pydock_lab.client.commands.compose.project import Work, begin
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.converge import Policy
from pydock_lab.client.compose.graph import Cancelled
from pydock_lab.client.compose.hooks import run_hook
from pydock_lab.client.compose.model import Trigger
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.starting import Starting
from pydock_lab.client.compose.state import Observed, observe
from pydock_lab.dockerfile.ignore import Ignore

_INTERVAL_S = 0.5

Snapshot = dict[Path, tuple[int, int]]


Rules = list[tuple[str, Trigger]]


def watch(arguments: Arguments, session: Session) -> Result:
    """Bring services up and keep them as their files are, until interrupted."""
    work = begin(arguments, session, arguments.positional)
    rules = rules_of(work, work.project.selected(arguments.positional, dependencies=False))
    if not arguments.on("no-up"):
        everything = work.project.selected(arguments.positional, dependencies=True)
        work, _ = _brought_up(work, everything, build=False)
    watching = Watching(work, rules, prune=arguments.on("prune"))
    session.say("Watch enabled")
    with session.interruptible():
        watching.until(threading.Event())
    return Result()


def rules_of(work: Work, services: Iterable[str]) -> Rules:
    """Collect what the services' files say, by service.

    Raises:
        ComposeError: none of them says anything.
    """
    found = [
        (name, rule)
        for name in services
        for develop in [work.project.services[name].develop]
        for rule in (develop.watch if develop else ())
    ]
    if not found:
        raise ComposeError(
            "none of the selected services is configured for watch, consider setting a 'develop' section", exit_code=1
        )
    return found


class Watching:
    """Files as they were, and what to do when they change.

    Args:
        work: The command at work.
        rules: What to look at.
        made: Is told the containers that a rebuild made.
        prune: Remove the image that a rebuild has replaced, if it has no name any more.
    """

    def __init__(
        self,
        work: Work,
        rules: Rules,
        made: Callable[[Sequence[Observed]], None] | None = None,
        *,
        prune: bool = False,
    ) -> None:
        self._work = work
        self._prune = prune
        self._rules = rules
        self._made = made
        self._seen = [_snapshot(rule) for _, rule in rules]

    def until(self, stopped: threading.Event) -> None:
        """Look, until it is time to stop."""
        with contextlib.suppress(Cancelled):
            while not stopped.wait(_INTERVAL_S):
                self._look()

    def _look(self) -> None:
        for number, (name, rule) in enumerate(self._rules):
            now, before = _snapshot(rule), self._seen[number]
            self._seen[number] = now
            if changed := {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}:
                self._apply(name, rule, changed)

    def _apply(self, name: str, rule: Trigger, changed: set[Path]) -> None:
        work = self._work
        if rule.action == "rebuild":
            work.report.line(f'Rebuilding service "{name}" after changes were detected...')
            before = {one.image_id for one in work.of((name,))}
            try:
                self._work, containers = _brought_up(work, (name,), build=True)
            except CommandError as error:  # a Dockerfile in the middle of an edit: the next change has another go
                work.report.line(f'Failed to rebuild service "{name}": {error.message}')
                return
            if self._prune:
                _remove_dangling(work.session, before - {one.image_id for one in containers})
            if self._made is not None:
                self._made(containers)
            return
        running = [one for one in work.of((name,)) if one.running]
        if rule.action in ("sync", "sync+restart", "sync+exec"):
            work.report.line(f'Syncing service "{name}" after {len(changed)} changes were detected')
            for container in running:
                _sync(work.session, container.id, rule, changed)
                if rule.action == "sync+exec" and rule.exec is not None:
                    run_hook(work.session, container, rule.exec)
        if rule.action in ("restart", "sync+restart"):
            for container in running:
                work.session.connection.request("POST", f"/containers/{container.id}/restart")
                work.report.did("Container", container.name, "Restarted")


def _brought_up(work: Work, names: tuple[str, ...], *, build: bool) -> tuple[Work, list[Observed]]:
    """Make services what their file says; return the command with what there is now, and their containers."""
    convergence = bring_about(work, names, Policy(), build=build)
    Starting(work.session, work.project, work.report, work.cancellation, convergence.containers).start(names)
    made = [one for name in names for one in convergence.containers.get(name, ())]
    return msgspec.structs.replace(work, found=tuple(observe(work.session, work.project.name, oneoff=True))), made


def _remove_dangling(session: Session, image_ids: Iterable[str]) -> None:
    for image_id in image_ids:
        with contextlib.suppress(EngineError):  # another container is of it
            if not session.inspect("images", image_id).get("RepoTags"):
                session.connection.request("DELETE", f"/images/{image_id}")


def _snapshot(rule: Trigger) -> Snapshot:
    found: Snapshot = {}
    for path in _files(rule):
        try:
            state = path.stat()
        except OSError:  # gone between the listing and now
            continue
        found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _files(rule: Trigger) -> Iterator[Path]:
    root = Path(rule.path)
    if root.is_file():
        yield root
        return
    if root.is_dir():
        ignored = Ignore.parse("\n".join([".git", *rule.ignore]))
        for name in ignored.select(root):
            if (path := root / name).is_file():
                yield path


def _sync(session: Session, container_id: str, rule: Trigger, changed: set[Path]) -> None:
    """Put changed files where the rule says; take away those that are gone."""
    root = Path(rule.path)
    packed = io.BytesIO()
    gone: list[str] = []
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(changed):
            inside = rule.target if root.is_file() else posixpath.join(rule.target, path.relative_to(root).as_posix())
            if path.exists():
                archive.add(path, arcname=inside.lstrip("/"))
            else:
                gone.append(inside)
    request = session.connection.request
    headers = {"Content-Type": "application/x-tar"}
    request("PUT", f"/containers/{container_id}/archive", body=packed.getvalue(), headers=headers, query={"path": "/"})
    if gone:
        document = {"Cmd": ["rm", "-rf", *gone]}
        identifier = request("POST", f"/containers/{container_id}/exec", document).json()["Id"]
        request("POST", f"/exec/{identifier}/start", {"Detach": True, "Tty": False})
