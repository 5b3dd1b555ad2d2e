"""`compose build`, `pull`, `push` and `images`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.arguments import Arguments, parse
from pydock_lab.client.commands.build.check import checked
from pydock_lab.client.commands.build.inputs import read_agent
from pydock_lab.client.commands.compose.project import Work, begin
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.grammar import load
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import align, cells_result
from pydock_lab.client.commands.text.templates import go_json
from pydock_lab.client.compose.body import image_name
from pydock_lab.client.compose.graph import visit
from pydock_lab.client.compose.images import Images
from pydock_lab.spec import reference

_WIDTH = 20


def build(arguments: Arguments, session: Session) -> Result:
    """Build the images of services."""
    work = begin(arguments, session, arguments.positional)
    selected = work.project.selected(arguments.positional, dependencies=arguments.on("with-dependencies"))
    given: dict[str, str | None] = {}
    for entry in arguments.many("build-arg"):
        key, equals, value = entry.partition("=")
        given[key] = value if equals else work.project.environment.get(key)
    if arguments.on("print") or arguments.on("check"):
        described = _bake if arguments.on("print") else _checks
        return described(work, [name for name in selected if work.project.services[name].build is not None], given)
    ssh = _wanted_of_buildkit(arguments, session)
    images = Images(session, work.project, work.report, work.cancellation)
    built = []
    for name in selected:
        if work.project.services[name].build is None:
            if name in arguments.positional:
                work.report.line(f"{name} uses an image, skipping")
            continue
        images.build(
            name,
            no_cache=arguments.on("no-cache"),
            pull=arguments.on("pull"),
            quiet=arguments.on("quiet"),
            arguments=given,
            memory=arguments.size("memory") if arguments.has("memory") else 0,
            ssh=ssh,
        )
        built.append(name)
    if not built:
        work.report.warn("No services to build")
    if arguments.on("push"):
        _push(work, [image_name(work.project, name) for name in built], session, ignore=False)
    return Result(names=tuple(built))


def _wanted_of_buildkit(arguments: Arguments, session: Session) -> dict[str, str]:
    """Return the agents of `--ssh`; refuse what no builder here can do."""
    for flag, what in (("provenance", "provenance"), ("sbom", "SBOM")):
        if arguments.text(flag) not in ("", "false", "0"):
            raise CommandError(
                "Attestation is not supported for the docker driver", hint=f"leave --{flag} out: no {what} is written"
            )
    if arguments.text("builder") not in ("", "default"):
        raise CommandError(f'no builder "{arguments.text("builder")}" found', hint="there is one: `default`")
    if not arguments.text("ssh"):
        return {}
    if not session.connection.is_lab:
        raise CommandError("the --ssh option requires BuildKit, or pydock_lab's own engine")
    return dict([read_agent(arguments.text("ssh"), session)])


def _checks(work: Work, names: list[str], given: Mapping[str, str | None]) -> Result:
    """Tell what the build checks find in each service's Dockerfile; nothing is built."""
    told, findings = [], 0
    for name in names:
        build = work.project.services[name].build
        assert build is not None
        path = Path(build.context, build.dockerfile or "Dockerfile")
        try:
            source = build.dockerfile_inline.encode() or path.read_bytes()
        except OSError:
            message = f"failed to read dockerfile: open {path.name}: no such file or directory"
            raise CommandError(f"target {name}: failed to solve: {message}", exit_code=17) from None
        ignore = Path(build.context, ".dockerignore")
        arguments = {key: value for key, value in {**build.args, **given}.items() if value is not None}
        text, count = checked(source, ignore.read_text("utf-8") if ignore.is_file() else None, arguments, path.name)
        told.append(f"{name}: {text}")
        findings += count
    return Result(text="\n".join(told), exit_code=1 if findings else 0)


def _bake(work: Work, names: list[str], given: Mapping[str, str | None]) -> Result:
    """Describe the builds as a bake file, which `docker buildx bake` reads."""
    targets = {}
    for name in names:
        build = work.project.services[name].build
        assert build is not None
        target = {
            "context": build.context,
            "dockerfile": build.dockerfile,
            "dockerfile-inline": build.dockerfile_inline,
            "args": {key: value for key, value in {**build.args, **given}.items() if value is not None},
            "labels": dict(build.labels),
            "tags": [image_name(work.project, name), *build.tags],
            "target": build.target,
            "output": ["type=docker"],
        }
        targets[name] = {key: value for key, value in target.items() if value}
    return Result(text=json.dumps({"group": {"default": {"targets": names}}, "target": targets}, indent=2))


def pull(arguments: Arguments, session: Session) -> Result:
    """Pull the images of services."""
    work = begin(arguments, session, arguments.positional, quiet=arguments.on("quiet"))
    selected = work.project.selected(arguments.positional, dependencies=arguments.on("include-deps"))
    images = Images(session, work.project, work.report, work.cancellation)
    policy = arguments.text("policy")
    if policy not in ("", "missing", "always"):
        raise CommandError(f'unsupported pull policy "{policy}"')
    present = images.present(selected) if policy == "missing" else {}
    wanted: dict[str, str] = {}
    for name in selected:
        service = work.project.services[name]
        if service.build is not None and (arguments.on("ignore-buildable") or not service.image):
            work.report.step(f" {name} Skipped - No image to be pulled ")
        elif service.image and not present.get(name):
            wanted.setdefault(service.image, name)

    def one(image: str) -> None:
        try:
            images.pull(image, wanted[image], quiet=arguments.on("quiet"))
        except CommandError as error:
            if not arguments.on("ignore-pull-failures"):
                raise
            work.report.line(f" {wanted[image]} Warning {error.message}")

    visit(wanted, {}, one, work.cancellation)
    return Result(names=tuple(wanted.values()))


def push(arguments: Arguments, session: Session) -> Result:
    """Push the images that services are built into."""
    work = begin(arguments, session, arguments.positional, quiet=arguments.on("quiet"))
    selected = work.project.selected(arguments.positional, dependencies=arguments.on("include-deps"))
    services = work.project.services
    built = [name for name in selected if services[name].build is not None and services[name].image]
    for name in selected:
        if name not in built:
            work.report.step(f" {name} Skipped ")
    names = [services[name].image for name in built]
    _push(work, names, session, ignore=arguments.on("ignore-push-failures"))
    return Result(names=tuple(names))


def images(arguments: Arguments, session: Session) -> Result:
    """List the images that a project's containers were made of."""
    work = begin(arguments, session, arguments.positional, files=False)
    rows: list[dict[str, Any]] = []
    for container in work.of(arguments.positional):
        image = session.inspect("images", container.image_id)
        tag = next(iter(image.get("RepoTags") or ()), "<none>:<none>")
        repository, _, version = tag.rpartition(":")
        rows.append(
            {
                "ID": container.image_id,
                "ContainerName": container.name,
                "Repository": repository,
                "Tag": version,
                "Size": int(image.get("Size") or 0),
            }
        )
    if arguments.on("quiet"):
        return Result(text="\n".join(dict.fromkeys(row["ID"].removeprefix("sha256:") for row in rows)))
    if arguments.text("format") == "json":
        return Result(text=go_json(rows))
    columns = ("CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE")
    cells = [
        (row["ContainerName"], row["Repository"], row["Tag"], row["ID"][7:19], humanize.size(row["Size"]))
        for row in rows
    ]
    return cells_result(columns, cells, partial(align, min_width=_WIDTH))


def _push(work: Work, names: list[str], session: Session, *, ignore: bool) -> None:
    from pydock_lab.client.commands.image.transfer import push as push_image

    command = load().command("image", "push")
    assert command is not None
    for name in names:
        reference.parse(name)
        work.report.step(f" {name} Pushing ")
        try:
            if not work.report.dry_run:
                push_image(parse(command, ["--quiet", name]), session)
        except (CommandError, EngineError) as error:
            if not ignore:
                raise
            work.report.line(f" {name} Warning {error.message}")
        else:
            work.report.step(f" {name} Pushed ")
