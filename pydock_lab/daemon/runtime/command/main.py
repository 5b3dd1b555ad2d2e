"""The command line of `pydock-runtime`: runc's verbs and flags.

    dockerd --add-runtime pydock=/path/to/pydock-runtime
    podman --runtime /path/to/pydock-runtime run …

Source: runc(8); what containerd's shim and conmon call.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from pydock_lab.daemon.runtime.command import verbs
from pydock_lab.daemon.runtime.command.launch import Config, Console, create, execute
from pydock_lab.daemon.runtime.command.state import OCI_VERSION, State, Store
from pydock_lab.errors import LabError

DEFAULT_ROOT = "/run/pydock-runtime"


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    flags = _parser().parse_args(argv)
    if flags.version:
        _show(f"pydock-runtime version 0.1.0\nspec: {OCI_VERSION}")
        return 0
    if not flags.verb:
        _parser().print_help()
        return 0
    try:
        if flags.systemd_cgroup and not os.path.isdir("/run/systemd/system"):
            raise LabError("systemd cgroup flag passed, but systemd support for managing cgroups is not available")
        return int(flags.run(Store(os.path.abspath(flags.root)), flags) or 0)
    except (LabError, OSError) as error:
        _report(flags, error.message if isinstance(error, LabError) else str(error))
        return 1


def _report(flags: argparse.Namespace, message: str) -> None:
    """Tell whoever called, as runc does: on stderr, and in `--log`, whose last error containerd shows."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = f'time="{now}" level=error msg={json.dumps(message)}\n'
    sys.stderr.write(text)
    if flags.log:
        entry = json.dumps({"level": "error", "msg": message, "time": now}) + "\n"
        with open(flags.log, "a", encoding="utf-8") as log:
            log.write(entry if flags.log_format == "json" else text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pydock-runtime", description="Run containers as the OCI runtime-spec says.")
    parser.add_argument("--root", default=DEFAULT_ROOT, help="directory of the containers' states")
    parser.add_argument("--log", default="", help="file for errors")
    parser.add_argument("--log-format", choices=["text", "json"], default="text")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--systemd-cgroup", action="store_true")
    parser.add_argument("--rootless", default="auto", help="ignored")
    parser.add_argument("--criu", default="", help="ignored")
    parser.add_argument("-v", "--version", action="store_true")
    verb = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, run in (("create", _create), ("run", _run)):
        launching = verb.add_parser(name)
        launching.add_argument("-b", "--bundle", default=".")
        launching.add_argument("--no-pivot", action="store_true", help="ignored: pivot_root is always used")
        launching.add_argument("--no-new-keyring", action="store_true", help="ignored")
        _add_process_flags(launching, run)
        if name == "run":
            launching.add_argument("-d", "--detach", action="store_true")
            launching.add_argument("--keep", action="store_true")
    running = verb.add_parser("exec")
    running.add_argument("-d", "--detach", action="store_true")
    running.add_argument("-p", "--process", default="")
    running.add_argument("-t", "--tty", action="store_true")
    running.add_argument("-e", "--env", action="append", default=[])
    running.add_argument("-u", "--user", default="")
    running.add_argument("--cwd", default="")
    running.add_argument("--no-new-privs", action="store_true")
    _add_process_flags(running, _exec)
    running.add_argument("args", nargs=argparse.REMAINDER)
    for name, run in (("start", _start), ("state", _state), ("pause", _pause), ("resume", _resume)):
        plain = verb.add_parser(name)
        plain.add_argument("id")
        plain.set_defaults(run=run)
    killing = verb.add_parser("kill")
    killing.add_argument("-a", "--all", action="store_true")
    killing.add_argument("id")
    killing.add_argument("signal", nargs="?", default="TERM")
    killing.set_defaults(run=lambda store, flags: verbs.kill(
        store, flags.id, verbs.signal_number(flags.signal), everyone=flags.all))  # fmt: skip
    deleting = verb.add_parser("delete")
    deleting.add_argument("-f", "--force", action="store_true")
    deleting.add_argument("id")
    deleting.set_defaults(run=lambda store, flags: verbs.delete(store, flags.id, force=flags.force))
    looking = verb.add_parser("ps")
    looking.add_argument("-f", "--format", choices=["table", "json"], default="table")
    looking.add_argument("id")
    looking.add_argument("options", nargs=argparse.REMAINDER)
    looking.set_defaults(run=_ps)
    listing = verb.add_parser("list")
    listing.add_argument("-f", "--format", choices=["table", "json"], default="table")
    listing.add_argument("-q", "--quiet", action="store_true")
    listing.set_defaults(run=_list)
    updating = verb.add_parser("update")
    updating.add_argument("-r", "--resources", default="", help="OCI linux.resources: a file, or - for stdin")
    updating.add_argument("id")
    updating.set_defaults(run=_update)
    describing = verb.add_parser("spec")
    describing.add_argument("-b", "--bundle", default=".")
    describing.set_defaults(run=_spec)
    verb.add_parser("features").set_defaults(run=_features)
    return parser


def _add_process_flags(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument("--console-socket", default="")
    parser.add_argument("--pid-file", default="")
    parser.add_argument("--preserve-fds", type=int, default=0)
    parser.add_argument("id")
    parser.set_defaults(run=run)


def _write_pid(path: str, pid: int) -> None:
    """Write a pid file at once: a monitor may be waiting for it to appear."""
    if path:
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            file.write(str(pid))
        os.replace(f"{path}.tmp", path)


def _create(store: Store, flags: argparse.Namespace) -> None:
    state = create(store, flags.id, flags.bundle, Console(flags.console_socket), preserved=flags.preserve_fds)
    _write_pid(flags.pid_file, state.pid)


def _start(store: Store, flags: argparse.Namespace) -> None:
    verbs.start(store, flags.id)


def _run(store: Store, flags: argparse.Namespace) -> int:
    from pydock_lab.daemon.runtime.command.foreground import attend

    console = Console(flags.console_socket)
    state = create(store, flags.id, flags.bundle, console, preserved=flags.preserve_fds)
    _write_pid(flags.pid_file, state.pid)
    verbs.start(store, flags.id)
    if flags.detach:
        return 0
    try:
        return attend(state.pid, console.master)
    finally:
        if not flags.keep:
            verbs.delete(store, flags.id, force=True)


def _exec(store: Store, flags: argparse.Namespace) -> int:
    from pydock_lab.daemon.runtime.command.foreground import attend

    state = store.load(flags.id)
    status = store.status(state)
    if status == "stopped":
        raise LabError("cannot exec in a stopped container")
    if status == "paused":
        raise LabError("cannot exec in a paused container")
    console = Console(flags.console_socket)
    try:
        pid = execute(state, _process(state, flags), console, preserved=flags.preserve_fds)
    except LabError as error:
        raise LabError(f"exec failed: {error.message}") from None
    _write_pid(flags.pid_file, pid)
    return 0 if flags.detach else attend(pid, console.master)


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
    if flags.user:
        uid, _, gid = flags.user.partition(":")
        process["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    if flags.no_new_privs:
        process["noNewPrivileges"] = True
    return process


def _state(store: Store, flags: argparse.Namespace) -> None:
    _show(json.dumps(_entry(store, store.load(flags.id)), indent=2))


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _entry(store: Store, state: State) -> dict[str, Any]:
    """Return a state as runc shows it."""
    status = store.status(state)
    return {"pid": 0, **state.document(status), "rootfs": state.rootfs, "created": state.created, "owner": ""}


def _list(store: Store, flags: argparse.Namespace) -> None:
    entries = [_entry(store, state) for state in store.all()]
    if flags.quiet:
        for entry in entries:
            _show(entry["id"])
    elif flags.format == "json":
        _show(json.dumps(entries))
    else:
        for row in (dict.fromkeys(_COLUMNS), *entries):
            _show("  ".join(str(row[key] if row[key] is not None else key.upper()).ljust(11) for key in _COLUMNS))


_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def _ps(store: Store, flags: argparse.Namespace) -> None:
    pids = verbs.processes(store, flags.id)
    if flags.format == "json":
        _show(json.dumps(pids))
        return
    sys.stdout.flush()
    options = flags.options or ["-f"]
    os.execvp("ps", ["ps", *options, "-p", ",".join(map(str, pids))])


def _pause(store: Store, flags: argparse.Namespace) -> None:
    verbs.freeze(store, flags.id, frozen=True)


def _resume(store: Store, flags: argparse.Namespace) -> None:
    verbs.freeze(store, flags.id, frozen=False)


def _update(store: Store, flags: argparse.Namespace) -> None:
    if not flags.resources:
        raise LabError("update needs --resources")
    if flags.resources == "-":
        resources = json.load(sys.stdin)
    else:
        with open(flags.resources, encoding="utf-8") as file:
            resources = json.load(file)
    for warning in verbs.update(store, flags.id, resources):
        sys.stderr.write(f"level=warning msg={json.dumps(warning)}\n")


def _spec(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.runtime import oci

    path = os.path.join(flags.bundle, "config.json")
    config = oci.default_config(["sh"], hostname="pydock", tty=True, read_only=True, network="none")
    config["process"]["user"] = {"uid": 0, "gid": 0}
    config["linux"].pop("seccomp", None)
    with open(path, "x", encoding="utf-8") as file:
        file.write(json.dumps(config, indent=4) + "\n")


def _features(store: Store, flags: argparse.Namespace) -> None:
    from pydock_lab.daemon.linux import capabilities, mounts
    from pydock_lab.daemon.runtime.operations.namespaces import KINDS

    options = sorted({*mounts.FLAGS, *mounts.PROPAGATIONS, *mounts.RECURSIVE})
    linux = {
        "namespaces": sorted(kind for kind in KINDS if kind != "user"),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
        "seccomp": {"enabled": True},
        "apparmor": {"enabled": False},
        "selinux": {"enabled": False},
    }
    hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    versions = {"ociVersionMin": "1.0.0", "ociVersionMax": OCI_VERSION}
    _show(json.dumps({**versions, "hooks": hooks, "mountOptions": options, "linux": linux}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
