"""Contexts: `create`, `ls`, `use`, `show`, `inspect`, `update`, `rm`, `export`, `import`.

Source: docker/cli cli/command/context.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from pydock_lab.client.commands import values
from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import Table, inspect_result
from pydock_lab.client.contexts import DEFAULT, Context, check_name

_TABLE = Table(
    {
        "Name": "NAME",
        "Description": "DESCRIPTION",
        "DockerEndpoint": "DOCKER ENDPOINT",
        "Error": "ERROR",
        "Current": "CURRENT",
    },
    ("Name", "Description", "DockerEndpoint", "Error"),
    "*formatter.clientContextContext",
    quiet="Name",
)
_TLS_KEYS = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
_MOST_IMPORTED = 10 << 20


def create(arguments: Arguments, session: Session) -> Result:
    """Create a context."""
    name = arguments.positional[0]
    check_name(name)
    store = session.connection.contexts
    if any(known.name == name for known in store.all()):
        raise CommandError(f'context "{name}" already exists')
    source = arguments.text("from") or ("" if arguments.has("docker") else DEFAULT)
    found, tls = _endpoint(arguments, session, store.get(source) if source else None, name)
    store.put(found, tls)
    session.say(name)
    session.say(f'Successfully created context "{name}"', "stderr")
    return Result(names=(name,))


def update(arguments: Arguments, session: Session) -> Result:
    """Change a context's description or endpoint."""
    name = arguments.positional[0]
    check_name(name)
    store = session.connection.contexts
    found, tls = _endpoint(arguments, session, store.get(name), name)
    store.put(found, tls)
    session.say(name)
    session.say(f'Successfully updated context "{name}"', "stderr")
    return Result(names=(name,))


def ls(arguments: Arguments, session: Session) -> Result:
    """List contexts."""
    current = session.connection.context
    template, quiet = arguments.text("format"), arguments.on("quiet")
    marked = template in ("", "table") and not quiet
    rows: list[dict[str, Any]] = [
        {
            "Name": f"{found.name} *" if marked and found.name == current else found.name,
            "Description": found.description,
            "DockerEndpoint": found.host or "pydock_lab's own",
            "Error": "",
            "Current": found.name == current,
        }
        for found in session.connection.contexts.all()
    ]
    shown = _TABLE.result(rows, template=template, quiet=quiet)
    if session.environment.get("DOCKER_HOST") and not quiet:
        session.say(_overridden("a context"), "stderr")
    return shown


def use(arguments: Arguments, session: Session) -> Result:
    """Make a context the one that commands talk to."""
    name = arguments.positional[0]
    session.connection.contexts.get(name)
    session.connection.config.change("currentContext", None if name == DEFAULT else name)
    session.say(name)
    session.say(f'Current context is now "{name}"', "stderr")
    if name != DEFAULT and session.environment.get("DOCKER_HOST"):
        session.say(_overridden(f'"{name}"'), "stderr")
    return Result(names=(name,))


def show(arguments: Arguments, session: Session) -> Result:
    """Print the name of the context in use."""
    return Result(text=session.connection.context, names=(session.connection.context,))


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show contexts as they are stored."""
    documents: list[dict[str, Any]] = []
    failures: list[str] = []
    for name in arguments.positional or (session.connection.context,):
        try:
            documents.append(_document(session.connection.contexts.get(name)))
        except CommandError as error:
            failures.append(error.message)
    found = inspect_result(documents, arguments.text("format"))
    if failures:
        session.say(found.text)
        raise CommandError("\n".join(failures))
    return found


def remove(arguments: Arguments, session: Session) -> Result:
    """Remove contexts."""
    store, failures = session.connection.contexts, []
    known = {found.name for found in store.all()}
    for name in arguments.positional:
        in_use = session.connection.context == name
        if name == DEFAULT:
            failures.append('context "default" cannot be removed')
        elif name not in known and not arguments.on("force"):
            failures.append(f'context "{name}" does not exist')
        elif in_use and not arguments.on("force"):
            failures.append(f'context "{name}" is in use, set -f flag to force remove')
        else:
            store.remove(name)
            if session.connection.config.text("currentContext") == name:
                session.connection.config.change("currentContext", None)
            session.say(name)
    if failures:
        raise CommandError("\n".join(failures))
    return Result(names=arguments.positional)


def export(arguments: Arguments, session: Session) -> Result:
    """Write a context and its TLS files as a tar archive."""
    name, *rest = arguments.positional
    found = session.connection.contexts.get(name)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        _add(archive, "meta.json", json.dumps(_stored(found), separators=(",", ":")).encode(), 0o644)
        folder = tarfile.TarInfo("tls")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        for file in found.tls_files:
            _add(archive, f"tls/docker/{file}", _tls_file(found, file), 0o600)
    if rest == ["-"]:
        session.output.write("stdout", packed.getvalue())
        return Result(names=(name,))
    target = rest[0] if rest else f"{name}.dockercontext"
    try:
        with session.path(target).open("xb") as file_object:
            file_object.write(packed.getvalue())
    except OSError as error:
        raise CommandError(f"open {target}: {str(error.strerror).lower()}") from None
    session.say(f'Written file "{target}"', "stderr")
    return Result(names=(name,))


def import_(arguments: Arguments, session: Session) -> Result:
    """Make a context of an exported one."""
    name, source = arguments.positional
    check_name(name)
    if any(known.name == name for known in session.connection.contexts.all()):
        raise CommandError(f'context "{name}" already exists')
    if source == "-":
        data = session.stdin.read(_MOST_IMPORTED) if session.stdin else b""
    else:
        try:
            data = session.path(source).read_bytes()[:_MOST_IMPORTED]
        except OSError as error:
            raise CommandError(f"open {source}: {str(error.strerror).lower()}") from None
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = {member.name: _member(archive, member) for member in archive if member.isfile()}
        document = json.loads(files["meta.json"])
        endpoint = document["Endpoints"]["docker"]
    except (tarfile.TarError, KeyError, ValueError, TypeError):
        raise CommandError("invalid context: no metadata found") from None
    description = str((document.get("Metadata") or {}).get("Description") or "")
    found = Context(name, description, str(endpoint.get("Host") or ""), bool(endpoint.get("SkipTLSVerify")))
    tls = {file: files[f"tls/docker/{file}"] for file in _TLS_KEYS.values() if f"tls/docker/{file}" in files}
    session.connection.contexts.put(found, tls)
    session.say(name)
    session.say(f'Successfully imported context "{name}"', "stderr")
    return Result(names=(name,))


def _endpoint(
    arguments: Arguments, session: Session, source: Context | None, name: str
) -> tuple[Context, dict[str, bytes]]:
    """What `--docker` says, over what another context has."""
    given = dict(values.key_value(part) for text in arguments.many("docker") for part in values.comma_separated(text))
    if "from" in given:
        source = session.connection.contexts.get(given.pop("from"))
    if unknown := next((key for key in given if key not in {"host", "skip-tls-verify", *_TLS_KEYS}), ""):
        raise CommandError(f"unable to create docker endpoint config: unrecognized config key: {unknown}")
    tls = {file: _tls_file(source, file) for file in source.tls_files} if source else {}
    for key, file in _TLS_KEYS.items():
        if path := given.get(key):
            try:
                tls[file] = session.path(path).read_bytes()
            except OSError as error:
                raise CommandError(f"open {path}: {str(error.strerror).lower()}") from None
    host = given.get("host") or (source.host if source else "")
    described = arguments.text("description") if arguments.has("description") else source.description if source else ""
    skip = (
        values.truth(given["skip-tls-verify"])
        if "skip-tls-verify" in given
        else bool(source and source.skip_tls_verify)
    )
    return Context(name, described, host, skip), tls


def _document(context: Context) -> dict[str, Any]:
    files = list(context.tls_files)
    return _stored(context) | {
        "TLSMaterial": {"docker": files} if files else {},
        "Storage": {
            "MetadataPath": str(context.metadata_path or "<IN MEMORY>"),
            "TLSPath": str(context.tls_path or "<IN MEMORY>"),
        },
    }


def _stored(context: Context) -> dict[str, Any]:
    return {
        "Name": context.name,
        "Metadata": {"Description": context.description} if context.description else {},
        "Endpoints": {"docker": {"Host": context.host, "SkipTLSVerify": context.skip_tls_verify}},
    }


def _tls_file(context: Context, name: str) -> bytes:
    return ((context.tls_path or Path()) / "docker" / name).read_bytes()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _overridden(what: str) -> str:
    return (
        "Warning: DOCKER_HOST environment variable overrides the active context. "
        f"To use {what}, either set the global --context flag, or unset DOCKER_HOST environment variable."
    )
