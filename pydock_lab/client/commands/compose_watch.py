"""`compose watch`: sync, rebuild or restart services when their files change.

Source: compose-spec develop.md. Files are looked at twice a second: it works on
every file system, also on those that report no changes.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose_project import Work, begin
from pydock_lab.client.commands.compose_up import bring_about
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.compose.converge import Policy
from pydock_lab.client.compose.model import Trigger
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.starting import Starting
from pydock_lab.client.compose.state import observe
from pydock_lab.dockerfile.ignore import Ignore

_INTERVAL_S = 0.5

Snapshot = dict[Path, tuple[int, int]]


def watch(arguments: Arguments, session: Session) -> Result:
    """Bring services up and keep them as their files are, until interrupted."""
    work = begin(arguments, session, arguments.positional)
    selected = work.project.selected(arguments.positional, dependencies=False)
    rules = [
        (name, rule)
        for name in selected
        for develop in [work.project.services[name].develop]
        for rule in (develop.watch if develop else ())
    ]
    if not rules:
        raise ComposeError(
            "none of the selected services is configured for watch, consider setting a 'develop' section", exit_code=1
        )
    if not arguments.on("no-up"):
        everything = work.project.selected(arguments.positional, dependencies=True)
        work = _brought_up(work, everything, build=False)
    seen = [_snapshot(rule) for _, rule in rules]
    session.say("Watch enabled")
    with session.interruptible():
        while True:
            time.sleep(_INTERVAL_S)
            for number, (name, rule) in enumerate(rules):
                now = _snapshot(rule)
                changed = {path for path in now.keys() | seen[number].keys() if now.get(path) != seen[number].get(path)}
                seen[number] = now
                if changed:
                    work = _apply(work, name, rule, changed)
    return Result()


def _apply(work: Work, name: str, rule: Trigger, changed: set[Path]) -> Work:
    if rule.action == "rebuild":
        work.report.line(f'Rebuilding service "{name}" after changes were detected...')
        return _brought_up(work, (name,), build=True)
    if rule.action in ("sync", "sync+restart", "sync+exec"):
        work.report.line(f'Syncing service "{name}" after {len(changed)} changes were detected')
        for container in [one for one in work.of((name,)) if one.running]:
            _sync(work.session, container.id, rule, changed)
    if rule.action in ("restart", "sync+restart"):
        for container in work.of((name,)):
            work.session.connection.request("POST", f"/containers/{container.id}/restart")
            work.report.did("Container", container.name, "Restarted")
    return work


def _brought_up(work: Work, names: tuple[str, ...], *, build: bool) -> Work:
    convergence = bring_about(work, names, Policy(), build=build)
    Starting(work.session, work.project, work.report, work.cancellation, convergence.containers).start(names)
    return replace(work, found=tuple(observe(work.session, work.project.name, oneoff=True)))


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
