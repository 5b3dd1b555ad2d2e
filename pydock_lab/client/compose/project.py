"""A project: services and what they share, and the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.client.compose.model import Dependency, FileObject, Network, Service, StoredVolume
from pydock_lab.client.compose.problem import ComposeError


class Project(msgspec.Struct, frozen=True):
    """What a set of Compose files describes.

    Attributes:
        name: Its name; containers, networks and volumes begin with it.
        directory: What relative paths are relative to.
        files: The Compose files; empty where the text came from elsewhere.
        services: Those that take part, by name.
        disabled: Those that no active profile asks for.
        networks, volumes, configs, secrets: By the name used in the files.
        extensions: Top-level `x-…` keys.
        environment: What variables were replaced from.
        warnings: What the user should know; to be shown once.
    """

    name: str
    directory: Path
    files: tuple[Path, ...] = ()
    services: Mapping[str, Service] = {}
    disabled: Mapping[str, Service] = {}
    networks: Mapping[str, Network] = {}
    volumes: Mapping[str, StoredVolume] = {}
    configs: Mapping[str, FileObject] = {}
    secrets: Mapping[str, FileObject] = {}
    extensions: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()

    def service(self, name: str) -> Service:
        """Return a service.

        Raises:
            ComposeError: there is none, in Compose's words, with the nearest name.
        """
        if name in self.services:
            return self.services[name]
        if name in self.disabled:
            raise ComposeError(f"service {name} is not enabled by any active profile", exit_code=1)
        raise ComposeError(f"no such service: {name}", exit_code=1, hint=nearest(name, self.services))

    def selected(self, names: Iterable[str], *, dependencies: bool) -> tuple[str, ...]:
        """The services named (all, if none), in the order of the graph.

        Args:
            names: Services.
            dependencies: Take in what they depend on.

        Raises:
            ComposeError: there is no such service.
        """
        wanted = set(names) or set(self.services)
        for name in sorted(wanted):
            self.service(name)
        if dependencies:
            waiting = list(wanted)
            while waiting:
                for found in self.services[waiting.pop()].depends_on:
                    if found in self.services and found not in wanted:
                        wanted.add(found)
                        waiting.append(found)
        return tuple(name for name in self.order() if name in wanted)

    def only(self, names: Iterable[str]) -> Project:
        """Leave the services named, what they depend on, and what those use.

        Raises:
            ComposeError: there is no such service.
        """
        chosen = self.selected(names, dependencies=True)
        left = msgspec.structs.replace(self, services={name: self.services[name] for name in chosen})
        return left.without_unused()

    def order(self) -> tuple[str, ...]:
        """The services, each after what it depends on; otherwise by name.

        Raises:
            ComposeError: they depend on each other in a circle.
        """
        ordered: dict[str, None] = {}
        for name in sorted(self.services):
            self._visit(name, (), ordered)
        return tuple(ordered)

    def dependencies(self, name: str) -> Mapping[str, Dependency]:
        """What a service depends on, of what takes part."""
        return {key: found for key, found in self.services[name].depends_on.items() if key in self.services}

    def dependents(self, name: str) -> tuple[str, ...]:
        """The services that depend on one directly."""
        return tuple(key for key in sorted(self.services) if name in self.services[key].depends_on)

    def with_profiles(self, profiles: Collection[str], named: Collection[str]) -> Project:
        """Leave the services that the profiles or the command line ask for.

        Args:
            profiles: Active profiles; `*` is all.
            named: Services named by the user: those are enabled, with what they depend on.
        """
        everything = {**self.services, **self.disabled}
        enabled = {
            name
            for name, service in everything.items()
            if not service.profiles or "*" in profiles or set(service.profiles) & set(profiles)
        }
        waiting = [name for name in named if name in everything]
        while waiting:
            name = waiting.pop()
            enabled.add(name)
            waiting += [
                key for key, found in everything[name].depends_on.items() if key not in enabled and found.required
            ]
        return msgspec.structs.replace(
            self,
            services={name: found for name, found in everything.items() if name in enabled},
            disabled={name: found for name, found in everything.items() if name not in enabled},
        )

    def check(self) -> None:
        """Check what only the whole can tell: names that are used exist, and there is no circle.

        Raises:
            ComposeError: in Compose's words.
        """
        for name, service in self.services.items():
            if service.networks and service.network_mode:
                raise ComposeError(
                    f"service {name} declares mutually exclusive `network_mode` and `networks`: invalid compose project"
                )
            for message, hint in self._undefined(service):
                raise ComposeError(f'service "{name}" {message}: invalid compose project', hint=hint)
            for key, found in service.depends_on.items():
                disabled = self.disabled.get(key)
                if key not in self.services and (found.required or disabled is None):
                    hint = nearest(key, self.services)
                    if disabled is not None:
                        hint = f"{key} has profiles: --profile {disabled.profiles[0]} enables it"
                    raise ComposeError(
                        f'service "{name}" depends on undefined service "{key}": invalid compose project', hint=hint
                    )
        self.order()

    def without_unused(self) -> Project:
        """Leave out networks, volumes, configs and secrets that no service takes part in: those are not made."""
        services = self.services.values()
        networks = {name for service in services for name in service.networks}
        volumes = {one.source for service in services for one in service.volumes if one.type == "volume"}
        configs = {one.source for service in services for one in service.configs}
        secrets = {one.source for service in services for one in service.secrets}
        secrets |= {one.source for service in services if service.build for one in service.build.secrets}
        return msgspec.structs.replace(
            self,
            networks={name: found for name, found in self.networks.items() if name in networks},
            volumes={name: found for name, found in self.volumes.items() if name in volumes},
            configs={name: found for name, found in self.configs.items() if name in configs},
            secrets={name: found for name, found in self.secrets.items() if name in secrets},
        )

    def _undefined(self, service: Service) -> Iterator[tuple[str, str | None]]:
        if not service.image and service.build is None:
            yield "has neither an image nor a build context specified", None
        for kind, names, known in (
            ("network", service.networks, self.networks),
            ("volume", [one.source for one in service.volumes if one.type == "volume" and one.source], self.volumes),
            ("config", [one.source for one in service.configs], self.configs),
            ("secret", [one.source for one in service.secrets], self.secrets),
        ):
            for name in names:
                if name not in known:
                    hint = nearest(name, known) or f"name it under the top-level `{kind}s:`"
                    yield f"refers to undefined {kind} {name}", hint

    def _visit(self, name: str, path: tuple[str, ...], ordered: dict[str, None]) -> None:
        if name in ordered:
            return
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ComposeError(
                f"dependency cycle detected: {circle}", hint="take one of these out of the other's depends_on"
            )
        for found in sorted(self.services[name].depends_on):
            if found in self.services:
                self._visit(found, (*path, name), ordered)
        ordered[name] = None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean 'redis'?`, or None."""
    import difflib

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{found[0]}'?" if found else None
