"""A project's images: there already, pulled or built."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.build.context import tar_stream
from pydock_lab.client.commands.build.stream import BuildStream
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.image.transfer import pull_image
from pydock_lab.client.commands.session import BuildEvent, Progress, Session
from pydock_lab.client.compose.body import image_name
from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.model import Build, SingleOrRange
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.report import Report
from pydock_lab.spec import reference


class Images:
    """The images of a project on an engine.

    Args:
        session: The session.
        project: The project.
        report: Is told what is done.
        cancellation: Of the command.
    """

    def __init__(self, session: Session, project: Project, report: Report, cancellation: Cancellation) -> None:
        self._session = session
        self._project = project
        self._report = report
        self._cancellation = cancellation
        self._building = threading.Lock()

    def ensure(
        self,
        names: Collection[str],
        *,
        build: bool = False,
        no_build: bool = False,
        pull: str = "",
        quiet: bool = False,
        quiet_build: bool = False,
    ) -> dict[str, str]:
        """See to it that the services' images are there.

        Args:
            names: Services.
            build: Build those that can be, even if they are there.
            no_build: Never build.
            pull: `always`, `missing`, `never`, or "" for what each service says.
            quiet: Show no progress of pulls.
            quiet_build: Show nothing of builds.

        Returns:
            The image id of each service.
        """
        ids = self.present(names)
        pulls: dict[str, str] = {}
        builds: list[str] = []
        for name in names:
            service = self._project.services[name]
            policy = pull or service.pull_policy or "missing"
            policy = "missing" if policy == "if_not_present" else policy
            wanted_build = service.build is not None and not no_build
            if wanted_build and (build or policy == "build" or (not ids[name] and not (pull and service.image))):
                builds.append(name)
            elif (policy == "always" and service.build is None) or (not ids[name] and policy != "never"):
                if service.build is not None and not service.image:
                    raise ComposeError(f'service "{name}" needs to be built, but --no-build was given', exit_code=1)
                pulls.setdefault(image_name(self._project, name), name)
            elif not ids[name]:
                raise ComposeError(
                    f"Error response from daemon: No such image: {image_name(self._project, name)}", exit_code=1
                )
        visit(pulls, {}, lambda image: self.pull(image, pulls[image], quiet=quiet), self._cancellation)
        for name in builds:
            self.build(name, quiet=quiet_build)
        return self.present(names) if pulls or builds else ids

    def pull(self, image: str, service: str, *, quiet: bool = False) -> None:
        """Pull one image."""
        self._report.step(f" {service} Pulling ")
        if self._report.dry_run:
            self._session.connection.request("POST", "/images/create", query={"fromImage": image})
        else:
            platform = self._project.services[service].platform
            pull_image(self._session, image, platform=platform, quiet=quiet, aside=True)
        self._report.step(f" {service} Pulled ")

    def build(
        self,
        name: str,
        *,
        no_cache: bool = False,
        pull: bool = False,
        quiet: bool = False,
        arguments: Mapping[str, str | None] | None = None,
        memory: int = 0,
        ssh: Mapping[str, str] | None = None,
    ) -> str:
        """Build a service's image and return its id.

        Raises:
            ComposeError: the context is missing.
            CommandError: a step failed.
        """
        service = self._project.services[name]
        assert service.build is not None
        build = service.build
        query = _query(build, [image_name(self._project, name), *build.tags], arguments or {})
        query |= {"nocache": (no_cache or build.no_cache) or None, "pull": (pull or build.pull) or None}
        query |= {"memory": memory or None, "platform": service.platform or None}
        query["ssh"] = json.dumps(ssh) if ssh else None
        if self._report.dry_run:
            return self._pretended(name, query)
        body: Any = None
        if "://" in build.context or build.context.startswith(("git@", "github.com/")):
            query["remote"] = build.context
            query["dockerfile"] = build.dockerfile or "Dockerfile"
        else:
            body, query["dockerfile"] = _context(build)
        response = self._session.connection.request(
            "POST", "/build", body=body, stream=True, headers={"Content-Type": "application/x-tar"}, query=query
        )
        stream = BuildStream()
        with response, self._building:  # one build's steps are not mixed with another's
            for line in response.iter_lines():
                for event in stream.read(json.loads(line)) if line.strip() else ():
                    if quiet:
                        continue
                    if isinstance(event, Progress):
                        self._session.output.progress(event)
                    elif isinstance(event, BuildEvent):
                        self._session.output.build(event)
        return stream.image_id

    def _pretended(self, name: str, query: Mapping[str, Any]) -> str:
        """Say what a build would do, as Compose does."""
        self._session.connection.request("POST", "/build", query=query)
        image = image_name(self._project, name)
        made = self.present((name,))[name]
        for line in (f"   build service {name} ", f" ==> ==> writing image {made} ", f" ==> ==> naming to {image} "):
            self._report.step(line)
        return made

    def present(self, names: Collection[str]) -> dict[str, str]:
        """The image id of each service, "" where the engine has no such image."""
        images = {image_name(self._project, name) for name in names}
        ids: dict[str, str] = {}

        def look(image: str) -> None:
            try:
                ids[image] = str(self._session.inspect("images", reference.parse(image).familiar)["Id"])
            except EngineError as error:
                if error.status_code != 404:
                    raise
                ids[image] = ""

        visit(images, {}, look, self._cancellation)
        return {name: ids[image_name(self._project, name)] for name in names}


def _query(build: Build, tags: list[str], more: Mapping[str, str | None]) -> dict[str, Any]:
    ulimits = [
        {"Name": name, "Soft": limit.soft, "Hard": limit.hard}
        if isinstance(limit, SingleOrRange)
        else {"Name": name, "Soft": limit, "Hard": limit}
        for name, limit in build.ulimits.items()
    ]
    return {
        "t": tags,
        "rm": True,
        "version": "1",
        "target": build.target or None,
        "networkmode": build.network or None,
        "shmsize": int(build.shm_size) if build.shm_size else None,
        "buildargs": json.dumps({**build.args, **more}),
        "labels": json.dumps(build.labels),
        "cachefrom": json.dumps(build.cache_from) if build.cache_from else None,
        "extrahosts": [f"{host}:{one}" for host, found in build.extra_hosts.items() for one in found] or None,
        "ulimits": json.dumps(ulimits) if ulimits else None,
    }


def _context(build: Build) -> tuple[Any, str]:
    root = Path(build.context)
    if not root.is_dir():
        raise ComposeError(f'unable to prepare context: path "{root}" not found', exit_code=17)
    if build.dockerfile_inline:
        return tar_stream(root, dockerfile=".dockerfile-inline", outside=build.dockerfile_inline.encode()), (
            ".dockerfile-inline"
        )
    path = root / build.dockerfile
    if not path.is_file():
        raise CommandError(
            f"failed to solve: failed to read dockerfile: open {build.dockerfile}: no such file or directory",
            exit_code=17,
            hint=f"the build context is {root}; name another file with build.dockerfile",
        )
    try:
        inside = str(path.resolve().relative_to(root.resolve()))
    except ValueError:
        return tar_stream(root, dockerfile=".dockerfile", outside=path.read_bytes()), ".dockerfile"
    return tar_stream(root, dockerfile=inside), inside
