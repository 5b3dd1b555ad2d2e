"""The grammar of `pydock-runtime`: runc's verbs and flags, and which function carries a verb out.

Source: runc(8) 1.1; what containerd's shim and conmon call.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pydock_lab.daemon.linux import idmaps
from pydock_lab.errors import InvalidParameter

Run = Callable[..., Any]

# Of `update`: what runc takes as a number, and as bytes with a unit.
COUNTS = ("blkio-weight", "cpu-period", "cpu-quota", "cpu-share", "cpu-rt-period", "cpu-rt-runtime", "pids-limit")
SIZES = ("memory", "memory-reservation", "memory-swap")
WORDS = ("cpuset-cpus", "cpuset-mems")


class Usage(InvalidParameter):
    """The command line is not one of ours.

    Attributes:
        help: How it would be.
        of_verb: There is no such verb.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help
        self.of_verb = message.startswith("argument VERB:")


class _Parser(argparse.ArgumentParser):
    """A parser that raises, so that `--log` gets its errors as it gets all others."""

    def error(self, message: str) -> NoReturn:
        raise Usage(message, self.format_help())


def default_root() -> str:
    """Return where states are when nobody says: in a plain user's own runtime directory.

    Podman has made its plain user root of a user namespace before it calls us.
    """
    own = os.environ.get("XDG_RUNTIME_DIR")
    plain = os.geteuid() != 0 or (idmaps.inside_namespace() and os.environ.get("USER") != "root")
    return f"{own}/pydock-runtime" if own and plain else "/run/pydock-runtime"


def parser(verbs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """Return the parser; `run` of what it returns is the verb's function."""
    top = _Parser(prog="pydock-runtime", description="Run containers as the OCI runtime-spec says.")
    top.add_argument("--root", default=default_root(), help="directory of the containers' states")
    top.add_argument("--log", default="", help="file for errors")
    top.add_argument("--log-format", choices=["text", "json"], default="text")
    top.add_argument("--debug", action="store_true")
    top.add_argument("--systemd-cgroup", action="store_true")
    top.add_argument("--rootless", choices=["auto", "true", "false"], default="auto",
                     help="leave out what takes a power over cgroups that a plain user lacks")  # fmt: skip
    top.add_argument("--criu", default="", help="ignored")
    top.add_argument("-v", "--version", action="store_true")
    subparsers = top.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)

    def add(name: str) -> argparse.ArgumentParser:
        verb = subparsers.add_parser(name)
        verb.set_defaults(run=verbs[name])
        return verb

    for name in ("create", "run"):
        launching = add(name)
        launching.add_argument("-b", "--bundle", default=".")
        launching.add_argument("--no-pivot", action="store_true", help="ignored: pivot_root is always used")
        launching.add_argument("--no-new-keyring", action="store_true", help="ignored")
        _add_process_flags(launching)
        if name == "run":
            launching.add_argument("-d", "--detach", action="store_true")
            launching.add_argument("--keep", action="store_true", help="leave the container when it has ended")
            launching.add_argument("--no-subreaper", action="store_true", help="ignored: there is none")
    running = add("exec")
    _add_exec_flags(running)
    for name in ("start", "state", "pause", "resume", "kill", "delete", "ps", "events", "update"):
        add(name).add_argument("id")
    choices = subparsers.choices
    choices["kill"].add_argument("-a", "--all", action="store_true", help="signal every process of the container")
    choices["kill"].add_argument("signal", nargs="?", default="TERM")
    choices["delete"].add_argument("-f", "--force", action="store_true")
    choices["ps"].add_argument("-f", "--format", choices=["table", "json"], default="table")
    choices["ps"].add_argument("options", nargs=argparse.REMAINDER)
    choices["events"].add_argument("--stats", action="store_true", help="show what was used, once")
    choices["events"].add_argument("--interval", default="5s", help="between two lines, 500ms or 5s")
    _add_limits(choices["update"])
    listing = add("list")
    listing.add_argument("-f", "--format", choices=["table", "json"], default="table")
    listing.add_argument("-q", "--quiet", action="store_true")
    describing = add("spec")
    describing.add_argument("-b", "--bundle", default=".")
    describing.add_argument("--rootless", dest="plain_user", action="store_true", help="for a plain user's container")
    add("features")
    return top


def _add_process_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--console-socket", default="", help="takes the master of the terminal")
    verb.add_argument("--pid-file", default="")
    verb.add_argument("--preserve-fds", type=int, default=0, help="how many fds after stdio the program inherits")
    verb.add_argument("id")


def _add_exec_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-d", "--detach", action="store_true")
    verb.add_argument("-p", "--process", default="", help="file with an OCI process")
    verb.add_argument("-t", "--tty", action="store_true")
    verb.add_argument("-e", "--env", action="append", default=[])
    verb.add_argument("-u", "--user", default="", help="UID[:GID]")
    verb.add_argument("-g", "--additional-gids", type=int, action="append", default=[])
    verb.add_argument("-c", "--cap", action="append", default=[], help="a capability more")
    verb.add_argument("--cwd", default="")
    verb.add_argument("--no-new-privs", action="store_true")
    verb.add_argument("--ignore-paused", action="store_true")
    verb.add_argument("--process-label", default="", help="ignored: no SELinux")
    verb.add_argument("--apparmor", default="", help="ignored: no AppArmor")
    _add_process_flags(verb)
    verb.add_argument("args", nargs=argparse.REMAINDER)


def _add_limits(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-r", "--resources", default="", help="OCI linux.resources: a file, or - for stdin")
    for name in (*COUNTS, *SIZES, *WORDS):
        verb.add_argument(f"--{name}", default="")
