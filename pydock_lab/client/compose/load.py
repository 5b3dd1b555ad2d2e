"""Compose files → a project.

Each file is read, its variables are replaced, it is checked, brought into long
forms, and laid over the one before; `include` and `extends` bring in more.
Source: compose-spec 03-compose-file.md, 13-merge.md, 14-include.md, compose-go
cli/options.go (which files, which name, which environment) and loader/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.client.compose import canonical, defaults, dotenv, schema
from pydock_lab.client.compose.document import Document, Override, Reset, read_documents
from pydock_lab.client.compose.interpolation import Variable, interpolate, variables_of
from pydock_lab.client.compose.merge import merge, settled, unified
from pydock_lab.client.compose.model import FileObject, Network, Service, StoredVolume
from pydock_lab.client.compose.problem import NOT_FOUND, ComposeError
from pydock_lab.client.compose.project import Project, nearest
from pydock_lab.client.compose.reading import documents_of

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = ("compose.override.yml", "compose.override.yaml")
_KINDS = ("networks", "volumes", "configs", "secrets")
_NOT_IN_NAMES = r"[^-_a-z0-9]"


class Source(msgspec.Struct, frozen=True):
    """Where a project comes from: what Compose's own flags say.

    Attributes:
        directory: The user's working directory.
        environment: The user's.
        files: `--file`; empty to look for the usual names here and above.
        text: The file's text, where it is no file (a notebook's cell, stdin).
        name: `--project-name`, or "".
        project_directory: `--project-directory`, or None.
        env_files: `--env-file`; empty for `.env`.
        profiles: `--profile`.
        interpolate: Replace variables.
        consistent: Check that what services refer to is there.
    """

    directory: Path
    environment: Mapping[str, str] = {}
    files: tuple[str, ...] = ()
    text: str | None = None
    name: str = ""
    project_directory: Path | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    interpolate: bool = True
    consistent: bool = True


def load(source: Source, *, services: Sequence[str] = ()) -> Project:
    """Read a project.

    Args:
        source: Where from.
        services: What the user named: enabled whatever their profiles.

    Raises:
        ComposeError: a file is missing or wrong; with file and line where one is to blame.
    """
    model, name, directory, environment, files, loader = _read_all(source)
    project = _project(loader.finished(model), name, directory, environment, files, loader.warnings)
    profiles = source.profiles or tuple(
        one.strip() for one in environment.get("COMPOSE_PROFILES", "").split(",") if one.strip()
    )
    project = project.with_profiles(profiles, services)
    if source.consistent:
        project.check()
    return project.without_unused()


def load_open(source: Source) -> tuple[dict[str, Any], list[Variable]]:
    """Read a project's files with their variables left as they are.

    Args:
        source: Where from.

    Returns:
        The merged files, and the variables that they ask for, in the order of their names.

    Raises:
        ComposeError: a file is missing or wrong.
    """
    model, name, _, environment, _, loader = _read_all(msgspec.structs.replace(source, interpolate=False))
    return defaults.complete_open(loader.finished(model), name, environment), loader.variables


def _read_all(
    source: Source,
) -> tuple[dict[str, Any], str, Path, dict[str, str], tuple[Path, ...], _Loader]:
    """Merge the files; return what they say, and the project's name, directory, environment, files and loader."""
    files = _files(source)
    directory = source.project_directory or (files[0].parent if files else source.directory)
    environment = _environment(source, directory)
    read = [documents_of(path, _read(path)) for path in files]
    if source.text is not None:
        read.append(read_documents(source.text, source.directory / "compose.yaml"))
    name = _project_name(source, _said_name(read, environment), directory, environment)
    # The files may name their project's name, so it is known before their variables are replaced.
    loader = _Loader({**environment, "COMPOSE_PROJECT_NAME": name}, interpolate=source.interpolate)
    model: dict[str, Any] = {}
    for documents in read:
        model = loader.layer(model, documents, directory)
    return model, name, directory, environment, files, loader


class _Loader:
    """Reads files into one model.

    Args:
        environment: The values of variables.
        interpolate: Replace variables.
    """

    def __init__(self, environment: Mapping[str, str], *, interpolate: bool = True) -> None:
        self._environment = environment
        self._interpolate = interpolate
        self._raw: dict[Path, dict[str, Any]] = {}
        self._unset: dict[str, None] = {}
        self._obsolete: dict[Path, None] = {}
        self._variables: dict[str, Variable] = {}

    @property
    def variables(self) -> list[Variable]:
        """What the files ask for; known only where variables are left as they are."""
        return [self._variables[name] for name in sorted(self._variables)]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to tell the user, once each."""
        obsolete = [
            f"{path}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid "
            "potential confusion"
            for path in self._obsolete
        ]
        unset = [f'The "{name}" variable is not set. Defaulting to a blank string.' for name in self._unset]
        return (*obsolete, *unset)

    def layer(self, model: dict[str, Any], documents: list[Document], directory: Path) -> dict[str, Any]:
        """Lay documents over a model."""
        for document in documents:
            if document.value is None:
                raise ComposeError(
                    f"{document.path}: empty compose file", hint="a Compose file begins with `services:`"
                )
            raw = self._checked(document)
            found = self._long(raw, document.path, directory, ())
            for entry in _listed(raw.get("include")):
                included = self._included(entry, document.path.parent)
                found = merge(included, found)
            model = merge(model, found) if model else found
        return model

    def finished(self, model: dict[str, Any]) -> dict[str, Any]:
        """Carry out what is left to do when everything is read."""
        found: dict[str, Any] = settled(model)
        return found

    def _checked(self, document: Document) -> dict[str, Any]:
        value = document.value
        if self._interpolate:
            value = interpolate(value, self._environment, lambda name: self._unset.setdefault(name))
        else:
            self._variables |= {variable.name: variable for variable in variables_of(value)}
        schema.check(Document(document.path, value, document.lines), closed=self._interpolate)
        if isinstance(value, dict) and "version" in value:
            self._obsolete[document.path] = None
        checked: dict[str, Any] = value
        return checked

    def _long(
        self, raw: dict[str, Any], path: Path, directory: Path, seen: tuple[tuple[Path, str], ...]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("version", "include")}
        services = found.get("services")
        if isinstance(services, dict):
            found["services"] = {name: self._service(name, services, path, directory, seen) for name in services}
        for kind in _KINDS:
            if isinstance(entries := found.get(kind), dict):
                found[kind] = {
                    name: canonical.resource(kind, name, entry, directory) for name, entry in entries.items()
                }
        return found

    def _service(
        self, name: str, services: Mapping[str, Any], path: Path, directory: Path, seen: tuple[tuple[Path, str], ...]
    ) -> Any:
        raw = services[name]
        if isinstance(raw, Reset):
            return raw
        if isinstance(raw, Override):
            return Override(canonical.service(name, raw.value, directory, closed=self._interpolate))
        if raw is None:
            return {}
        if (path, name) in seen:
            raise ComposeError(
                "Circular reference:\n  "
                + "\n  extends ".join(f"{which} in {where}" for where, which in (*seen, (path, name)))
            )
        extends = raw.get("extends")
        mine = {key: value for key, value in raw.items() if key != "extends"}
        own = unified(canonical.service(name, mine, directory, closed=self._interpolate))
        if extends is None:
            return own
        base = self._extended(extends, name, services, path, directory, (*seen, (path, name)))
        return merge(base, own)

    def _extended(
        self,
        extends: Any,
        name: str,
        services: Mapping[str, Any],
        path: Path,
        directory: Path,
        seen: tuple[tuple[Path, str], ...],
    ) -> Any:
        wanted, file = (extends, None) if isinstance(extends, str) else (extends["service"], extends.get("file"))
        if file is not None:
            path = Path(canonical.absolute(file, directory))
            if path not in self._raw:
                self._raw[path] = self._checked(documents_of(path, _read(path))[0])
            services, directory = self._raw[path].get("services") or {}, path.parent
        if wanted not in services:
            where = f" in file {path}" if file is not None else ""
            raise ComposeError(
                f'cannot extend service "{name}" in {path}: service "{wanted}" not found{where}',
                hint=nearest(wanted, services),
            )
        base = self._service(wanted, services, path, directory, seen)
        # Dependencies come along too: Compose 2.24 and later keep them.
        return {key: value for key, value in base.items() if key != "profiles" or file is None}

    def _included(self, entry: Any, directory: Path) -> dict[str, Any]:
        found = {"path": entry} if isinstance(entry, str) else entry
        paths = [Path(canonical.absolute(one, directory)) for one in _listed(found["path"])]
        base = found.get("project_directory")
        root = Path(canonical.absolute(base, directory)) if base else paths[0].parent
        env_files = [Path(canonical.absolute(one, directory)) for one in _listed(found.get("env_file"))] or [
            root / ".env"
        ]
        values = dict(self._environment)
        for env_file in env_files:
            if env_file.is_file():
                values = {**_clean(dotenv.parse(env_file.read_text("utf-8"), values, name=str(env_file))), **values}
            elif found.get("env_file"):
                raise ComposeError(f"env file {env_file} not found", exit_code=NOT_FOUND)
        loader = _Loader(values, interpolate=self._interpolate)
        model: dict[str, Any] = {}
        for path in paths:
            model = loader.layer(model, documents_of(path, _read(path)), root)
        self._unset |= loader._unset
        self._obsolete |= loader._obsolete
        self._variables |= loader._variables
        model.pop("name", None)
        return loader.finished(model)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _clean(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ComposeError(f"open {path}: no such file or directory", exit_code=NOT_FOUND) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ComposeError(f"read {path}: {error}", exit_code=NOT_FOUND) from None


def _files(source: Source) -> tuple[Path, ...]:
    """The Compose files: those named, those of COMPOSE_FILE, or the usual ones here or above."""
    if source.text is not None:
        return ()
    base = source.directory
    named = list(source.files)
    if not named and (variable := source.environment.get("COMPOSE_FILE")):
        named = variable.split(source.environment.get("COMPOSE_PATH_SEPARATOR", ":"))
    if named:
        return tuple(Path(canonical.absolute(one, base)) for one in named)
    for directory in (source.project_directory or base, *(source.project_directory or base).parents):
        found = next((directory / name for name in FILE_NAMES if (directory / name).is_file()), None)
        if found is not None:
            names = (
                _OVERRIDES
                if found.name.startswith("compose")
                else ("docker-compose.override.yml", "docker-compose.override.yaml")
            )
            over = [directory / name for name in names if (directory / name).is_file()]
            return (found, *over[:1])
    raise ComposeError(
        "no configuration file provided: not found",
        exit_code=NOT_FOUND,
        hint=f"write a compose.yaml here ({base}), or name a file with -f",
    )


def _environment(source: Source, directory: Path) -> dict[str, str]:
    """The user's environment over the values of `.env`."""
    named = source.env_files
    if not named and (variable := source.environment.get("COMPOSE_ENV_FILES")):
        named = tuple(variable.split(","))
    values: dict[str, str] = {}
    for path in [Path(canonical.absolute(one, source.directory)) for one in named] or [directory / ".env"]:
        if path.is_file():
            try:
                values |= _clean(dotenv.parse(path.read_text("utf-8"), source.environment, name=str(path)))
            except (ValueError, OSError) as error:
                raise ComposeError(str(error)) from None
        elif named:
            raise ComposeError(f"Couldn't find env file: {path}", exit_code=1)
    return {**values, **source.environment}


def _project_name(source: Source, named: str, directory: Path, environment: Mapping[str, str]) -> str:
    if source.name or environment.get("COMPOSE_PROJECT_NAME"):
        name = source.name or environment["COMPOSE_PROJECT_NAME"]
        if name != _normal(name):
            raise ComposeError(
                f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, hyphens, and '
                "underscores as well as start with a letter or number",
                exit_code=1,
            )
        return name
    name = _normal(named) if named else _normal(directory.resolve().name)
    if not name:
        raise ComposeError("project name must not be empty", hint="give it one with -p NAME or a top-level `name:`")
    return name


def _said_name(read: Sequence[Sequence[Document]], environment: Mapping[str, str]) -> str:
    """The top-level `name` of the last file that has one."""
    values = [document.value for documents in read for document in documents if isinstance(document.value, dict)]
    said = [value["name"] for value in values if isinstance(value.get("name"), str)]
    return str(interpolate(said[-1], environment, lambda _: None, "name")) if said else ""


def _normal(name: str) -> str:
    return re.sub(_NOT_IN_NAMES, "", name.lower()).lstrip("_-")


def _project(
    model: dict[str, Any],
    name: str,
    directory: Path,
    environment: Mapping[str, str],
    files: tuple[Path, ...],
    warnings: tuple[str, ...],
) -> Project:
    found = defaults.complete(model, name, directory, {**environment, "COMPOSE_PROJECT_NAME": name})
    return Project(
        name=name,
        directory=directory,
        files=files,
        services={key: _typed(entry, Service, f"services.{key}") for key, entry in found["services"].items()},
        networks={key: _typed(entry, Network, f"networks.{key}") for key, entry in found["networks"].items()},
        volumes={key: _typed(entry, StoredVolume, f"volumes.{key}") for key, entry in found["volumes"].items()},
        configs={key: _typed(entry, FileObject, f"configs.{key}") for key, entry in found["configs"].items()},
        secrets={key: _typed(entry, FileObject, f"secrets.{key}") for key, entry in found["secrets"].items()},
        extensions={key: value for key, value in model.items() if key.startswith("x-")},
        environment=environment,
        warnings=warnings,
    )


def _typed(entry: Any, kind: Any, place: str) -> Any:
    try:
        # Not strict: a variable's value is text, whatever the place wants.
        return msgspec.convert(entry, kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        raise ComposeError(f"{place}{where.rstrip('`')}: {text}") from None
