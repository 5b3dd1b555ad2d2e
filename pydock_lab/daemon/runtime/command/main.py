"""`pydock-runtime`: what each verb makes of its flags, and what it prints.

    dockerd --add-runtime pydock=/path/to/pydock-runtime
    podman --runtime /path/to/pydock-runtime run …

Source: runc(8); what containerd's shim and conmon call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from pydock_lab.daemon.linux import cgroups, idmaps
from pydock_lab.daemon.runtime.command import report, verbs
from pydock_lab.daemon.runtime.command.arguments import Usage, parser
from pydock_lab.daemon.runtime.command.config import Config, read_config
from pydock_lab.daemon.runtime.command.launch import Console, check_preserved, create, execute
from pydock_lab.daemon.runtime.command.state import OCI_VERSION, State, Store
from pydock_lab.errors import LabError

# What a caller sees when a process could not be run in a container; its own statuses are smaller.
EXEC_FAILED = 255
NO_SUCH_VERB = 3


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    grammar = parser(_VERBS)
    try:
        flags = grammar.parse_args(argv)
    except Usage as error:
        _show(f"Incorrect Usage: {error.message}\n\n{error.help}")
        report.error(error.message)
        return NO_SUCH_VERB if error.of_verb else 1
    if flags.version:
        _show(f"pydock-runtime version 0.1.0\nspec: {OCI_VERSION}")
        return 0
    if not flags.verb:
        grammar.print_help()
        return 0
    try:
        if flags.systemd_cgroup and not os.path.isdir("/run/systemd/system"):
            raise LabError("systemd cgroup flag passed, but systemd support for managing cgroups is not available")
        return int(flags.run(Store(os.path.abspath(flags.root)), flags) or 0)
    except (LabError, OSError) as error:
        report.error(report.words(error), flags.log, flags.log_format)
        return EXEC_FAILED if flags.verb == "exec" else 1


def _write_pid(path: str, pid: int) -> None:
    """Write a pid file at once: a monitor may be waiting for it to appear."""
    if path:
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            file.write(str(pid))
        os.replace(f"{path}.tmp", path)


def _rootless(flags: argparse.Namespace) -> bool:
    """True if we are not the host's root, or are not to take ourselves for it."""
    if flags.rootless == "auto":
        return os.geteuid() != 0 or idmaps.inside_namespace()
    return bool(flags.rootless == "true")


def _create(store: Store, flags: argparse.Namespace, config: Config, console: Console) -> State:
    bundle, preserved, rootless = os.path.abspath(flags.bundle), flags.preserve_fds, _rootless(flags)
    state = create(store, flags.id, bundle, config, console, preserved=preserved, rootless=rootless)
    _write_pid(flags.pid_file, state.pid)
    return state


def _create_alone(store: Store, flags: argparse.Namespace) -> None:
    config = read_config(os.path.abspath(flags.bundle))
    _create(store, flags, config, Console(flags.console_socket, detached=True))


def _start(store: Store, flags: argparse.Namespace) -> None:
    verbs.start(store, flags.id)


def _run(store: Store, flags: argparse.Namespace) -> int:
    from pydock_lab.daemon.runtime.command.foreground import Pipes, attend

    check_preserved(flags.preserve_fds)  # while what we open ourselves isn't among them
    config = read_config(os.path.abspath(flags.bundle))
    pipes = None if config["process"].get("terminal") or flags.detach else Pipes()
    console = Console(flags.console_socket, stdio=pipes.theirs if pipes else (0, 1, 2), detached=flags.detach)
    state = _create(store, flags, config, console)
    verbs.start(store, flags.id)
    if flags.detach:
        return 0
    try:
        return attend(state.pid, console, pipes)
    finally:
        if not flags.keep:
            verbs.delete(store, flags.id, force=True)


def _exec(store: Store, flags: argparse.Namespace) -> int:
    from pydock_lab.daemon.runtime.command.foreground import Pipes, attend

    try:
        state = store.load(flags.id)
        status = store.status(state)
        if status == "stopped":
            raise LabError("cannot exec in a stopped container")
        if status == "paused" and not flags.ignore_paused:
            raise LabError("cannot exec in a paused container (use --ignore-paused to override)")
        check_preserved(flags.preserve_fds)
        process = _process(state, flags)
        pipes = None if process.get("terminal") or flags.detach else Pipes()
        console = Console(flags.console_socket, stdio=pipes.theirs if pipes else (0, 1, 2), detached=flags.detach)
        pid = execute(state, process, console, preserved=flags.preserve_fds)
    except (LabError, OSError) as error:
        raise LabError(f"exec failed: {report.words(error)}") from None
    _write_pid(flags.pid_file, pid)
    return 0 if flags.detach else attend(pid, console, pipes)


def _process(state: State, flags: argparse.Namespace) -> Config:
    """Return the OCI process to exec: from a file, or the container's with another command."""
    if flags.process:
        with open(flags.process, encoding="utf-8") as file:
            given: Config = json.load(file)
        return given
    process: Config = dict(state.config["process"])
    args = flags.args[1:] if flags.args[:1] == ["--"] else flags.args
    if not args:
        raise LabError("process args cannot be empty")
    process.update(args=args, terminal=flags.tty, env=[*(process.get("env") or ()), *flags.env])
    if flags.cwd:
        process["cwd"] = flags.cwd
    user = dict(process.get("user") or {})
    if flags.user:
        uid, _, gid = flags.user.partition(":")
        user = {"uid": _number("uid", uid), "gid": _number("gid", gid) if gid else user.get("gid", 0)}
    process["user"] = {**user, "additionalGids": [*(user.get("additionalGids") or ()), *flags.additional_gids]}
    if flags.cap:
        granted = dict(process.get("capabilities") or {})
        for kind in ("bounding", "effective", "permitted"):
            granted[kind] = [*(granted.get(kind) or ()), *flags.cap]
        process["capabilities"] = granted
    if flags.no_new_privs:
        process["noNewPrivileges"] = True
    return process


def _number(name: str, text: str) -> int:
    """Return an id's number; Go's words where it is none."""
    try:
        return int(text)
    except ValueError:
        reason = f"strconv.Atoi: parsing {json.dumps(text)}: invalid syntax"
        raise LabError(f"parsing {text} as int for {name} failed: {reason}") from None


def _kill(store: Store, flags: argparse.Namespace) -> None:
    verbs.kill(store, flags.id, verbs.signal_number(flags.signal), everyone=flags.all)


def _delete(store: Store, flags: argparse.Namespace) -> None:
    verbs.delete(store, flags.id, force=flags.force)


def _state(store: Store, flags: argparse.Namespace) -> None:
    _show(json.dumps(_entry(store, store.load(flags.id)), indent=2))


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _entry(store: Store, state: State, owner: str = "") -> dict[str, Any]:
    """Return a state as runc shows it."""
    document = state.document(store.status(state))
    known = {"ociVersion": document.pop("ociVersion"), "id": document.pop("id"), "pid": document.pop("pid", 0)}
    return {**known, **document, "rootfs": state.rootfs, "created": state.created, "owner": owner}


def _list(store: Store, flags: argparse.Namespace) -> None:
    entries = [_entry(store, state, store.owner(state)) for state in store.all()]
    if flags.quiet:
        for entry in entries:
            _show(entry["id"])
    elif flags.format == "json":
        _show(json.dumps(entries))
    else:
        rows = [[key.upper() for key in _COLUMNS], *([str(entry[key]) for key in _COLUMNS] for entry in entries)]
        widths = [max(12, *(len(cell) + 3 for cell in column)) for column in zip(*rows, strict=True)]
        for row in rows:
            _show("".join(cell.ljust(width) for cell, width in zip(row, [*widths[:-1], 0], strict=True)))


_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def _ps(store: Store, flags: argparse.Namespace) -> None:
    pids = verbs.processes(store, flags.id)
    if flags.format == "json":
        _show(json.dumps(pids))
        return
    # Of every process, whatever the options say, and then those of the container: as runc does it.
    shown = subprocess.run(["ps", *(flags.options or ["-ef"])], stdout=subprocess.PIPE, text=True, check=False)
    heading, *rows = shown.stdout.splitlines() or [""]
    if "PID" not in heading.split():
        raise LabError("couldn't find PID field in ps output")
    column = heading.split().index("PID")
    for line in (heading, *(row for row in rows if int(row.split()[column]) in pids)):
        _show(line)


def _pause(store: Store, flags: argparse.Namespace) -> None:
    verbs.freeze(store, flags.id, frozen=True)


def _resume(store: Store, flags: argparse.Namespace) -> None:
    verbs.freeze(store, flags.id, frozen=False)


def _events(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.runtime.command import events

    interval_s = events.seconds(flags.interval)
    state, cgroup = verbs.measured(store, flags.id)
    documents = [events.stats(state.id, cgroup)] if flags.stats else events.follow(
        state.id, state.pid, cgroup, interval_s
    )  # fmt: skip
    for document in documents:
        _show(json.dumps(document, separators=(",", ":")))
        sys.stdout.flush()


def _update(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.runtime.command import limits

    for warning in verbs.update(store, flags.id, limits.asked(flags)):
        report.warn(warning)


def _spec(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.runtime.command import starter

    config = starter.starter(unified=cgroups.detect().version == 2)
    if flags.plain_user:
        config = starter.for_plain_user(config, os.geteuid(), os.getegid())
    path = os.path.join(flags.bundle, "config.json")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.dumps(config, indent="\t") + "\n")
    except FileExistsError:
        raise LabError("File config.json exists. Remove it first") from None


def _features(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.linux import capabilities, mounts
    from pydock_lab.daemon.runtime.operations.namespaces import KINDS

    options = sorted({*mounts.FLAGS, *mounts.PROPAGATIONS, *mounts.RECURSIVE, *mounts.IDMAPS, mounts.COPY_UP})
    linux = {
        "namespaces": sorted(KINDS),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
        "seccomp": {"enabled": True},
        "apparmor": {"enabled": False},
        "selinux": {"enabled": False},
    }
    hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    versions = {"ociVersionMin": "1.0.0", "ociVersionMax": OCI_VERSION}
    _show(json.dumps({**versions, "hooks": hooks, "mountOptions": options, "linux": linux}, indent=2))


_VERBS = {
    "create": _create_alone, "start": _start, "run": _run, "exec": _exec, "state": _state, "list": _list, "ps": _ps,
    "kill": _kill, "pause": _pause, "resume": _resume, "update": _update, "events": _events, "delete": _delete,
    "spec": _spec, "features": _features,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
