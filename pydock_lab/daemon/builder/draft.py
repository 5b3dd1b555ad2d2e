"""An image's config while it is being built: what each instruction changes, and the history it leaves.

Pure: no files, no store. Source: OCI image-spec config.md; moby's dispatchers
for the words that Docker's classic builder writes into the history.
"""

from __future__ import annotations

import json
import platform
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pydock_lab.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from pydock_lab.errors import InvalidParameter

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

# What stands before the last colon is the host's: of no use to EXPOSE, and not read, as in Docker.
_PORT = re.compile(r"^(?:.*:)?(\d+)(?:-(\d+))?(?:/([a-zA-Z]+))?$")
_SIGNALS = re.compile(r"^(?:SIG)?(?:[A-Z]+[0-9]?|RTM(?:IN|AX)(?:[+-]\d+)?)$")


@dataclass
class Draft:
    """One stage's image as it grows.

    Begins with what an image's config holds without copying it: a change puts a new value in the place of the old
    one, and alters none that is there.

    Attributes:
        document: The OCI image config, without `created`.
        parent: Image id of the step before, or "" for scratch.
        chain_id: Top of its layers, or None.
        cmd_set: CMD was given in this stage, so that ENTRYPOINT leaves it.
    """

    document: dict[str, Any]
    parent: str = ""
    chain_id: str | None = None
    cmd_set: bool = False
    maintainer: str = ""
    triggers: list[str] = field(default_factory=list)

    @classmethod
    def scratch(cls) -> Draft:
        """Begin with nothing."""
        machine = platform.machine()
        document: dict[str, Any] = {
            "architecture": ARCHITECTURES.get(machine, machine),
            "config": {},
            "history": [],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        draft = cls(document)
        draft.add_default_path()
        return draft

    @classmethod
    def on(cls, document: dict[str, Any], image_id: str, chain_id: str | None) -> Draft:
        """Begin with an image; its ONBUILD triggers leave the config and are due."""
        kept = ("architecture", "variant", "config", "history", "os", "os.version", "rootfs")
        own = {key: document[key] for key in kept if key in document}
        own["config"] = dict(own.get("config") or {})
        own["history"] = own.get("history") or []
        draft = cls(own, image_id, chain_id)
        draft.triggers = list(draft.config.pop("OnBuild", None) or [])
        draft.add_default_path()
        return draft

    @property
    def config(self) -> dict[str, Any]:
        """The run-time part: Env, Cmd, WorkingDir and the like."""
        config: dict[str, Any] = self.document["config"]
        return config

    @property
    def env(self) -> dict[str, str]:
        """The image's environment."""
        pairs = (entry.partition("=") for entry in self.config.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def shell(self) -> list[str]:
        """What a shell form is run with."""
        return list(self.config.get("Shell") or DEFAULT_SHELL)

    @property
    def workdir(self) -> str:
        """The working directory, absolute."""
        return str(self.config.get("WorkingDir") or "/")

    def add_default_path(self) -> None:
        """Docker gives every image without a PATH its own."""
        if "PATH" not in self.env:
            self.config["Env"] = [*(self.config.get("Env") or []), f"PATH={DEFAULT_PATH}"]

    def absolute(self, path: str) -> str:
        """Join a path to the working directory; a trailing slash stays."""
        joined = posixpath.normpath(posixpath.join("/", self.workdir, path))
        joined = "/" + joined.lstrip("/")
        return joined + "/" if path.endswith(("/", "/.")) and joined != "/" else joined

    def nop(self, comment: str) -> str:
        """The history's text for an instruction that runs nothing."""
        return " ".join([*self.shell, f"#(nop) {comment}"])

    def set_workdir(self, path: str) -> str:
        """WORKDIR; return the absolute path. Raises InvalidParameter for none: a variable without a value."""
        if not path:
            raise InvalidParameter("cannot normalize nothing")
        self.config["WorkingDir"] = self.absolute(path).rstrip("/") or "/"
        return self.workdir

    def apply(self, instruction: Instruction) -> str:
        """Carry out an instruction that changes the config only.

        Args:
            instruction: With its variables expanded.

        Returns:
            Its comment for the history, in the classic builder's words.

        Raises:
            InvalidParameter: a port, a signal or a path that is none.
        """
        match instruction:
            case Env(pairs=pairs):
                self._set_env(pairs)
                return "ENV " + " ".join(f"{name}={value}" for name, value in pairs)
            case Label(pairs=pairs):
                self.config["Labels"] = {**(self.config.get("Labels") or {}), **dict(pairs)}
                return "LABEL " + " ".join(f"{name}={value}" for name, value in pairs)
            case Arg(pairs=pairs_or_none):
                words = (name if value is None else f"{name}={value}" for name, value in pairs_or_none)
                return "ARG " + " ".join(words)
            case Expose(ports=ports):
                exposed: dict[str, Any] = {port: {} for text in ports for port in read_ports(text)}
                self.config["ExposedPorts"] = {**(self.config.get("ExposedPorts") or {}), **exposed}
                return "EXPOSE " + " ".join(ports)
            case Volume(paths=paths):
                if "" in paths:  # a variable without a value
                    raise InvalidParameter("VOLUME specified can not be an empty string")
                volumes: dict[str, Any] = {path: {} for path in paths}
                self.config["Volumes"] = {**(self.config.get("Volumes") or {}), **volumes}
                return f"VOLUME [{' '.join(paths)}]"
            case User(user=user):
                self.config["User"] = user
                return f"USER {user}"
            case StopSignal(signal=signal):
                self.config["StopSignal"] = _signal(signal)
                return f"STOPSIGNAL {signal}"
            case Onbuild(expression=expression):
                self.config["OnBuild"] = [*(self.config.get("OnBuild") or []), expression]
                return f"ONBUILD {expression}"
            case Maintainer(maintainer=maintainer):
                self.maintainer = self.document["author"] = maintainer
                return f"MAINTAINER {maintainer}"
            case _:
                return self._apply_command(instruction)

    def _apply_command(self, instruction: Instruction) -> str:
        match instruction:
            case Cmd(command=command):
                words = command.resolve(self.shell)
                self.config["Cmd"] = words
                self.cmd_set = bool(command.words)
                return f"CMD {_go_list(words)}"
            case Entrypoint(command=command):
                words = command.resolve(self.shell) if command.words else []
                self.config["Entrypoint"] = words or None
                if not self.cmd_set:
                    self.config.pop("Cmd", None)
                return f"ENTRYPOINT {_go_list(words)}"
            case Shell(words=words):
                self.config["Shell"] = list(words)
                return f"SHELL [{' '.join(words)}]"
            case Healthcheck():
                self.config["Healthcheck"] = _health(instruction)
                return f"HEALTHCHECK {_go_health(instruction)}"
        raise TypeError(f"{instruction.keyword} is not a change of the config")

    def committed(self, created: str, created_by: str, *, diff_id: str | None) -> bytes:
        """Return the image config after a step, as bytes whose digest is the image id.

        Args:
            created: RFC 3339.
            created_by: The history's text.
            diff_id: The layer that the step made, or None for none.
        """
        entry: dict[str, Any] = {"created": created, **({"created_by": created_by} if created_by else {})}
        if self.maintainer:
            entry["author"] = self.maintainer
        if diff_id is None:
            entry["empty_layer"] = True
        else:
            rootfs = self.document["rootfs"]
            self.document["rootfs"] = {**rootfs, "diff_ids": [*rootfs["diff_ids"], diff_id]}
        self.document["history"] = [*self.document["history"], entry]
        config = {
            # `CMD []` says that nothing is run: that is not the same as to say nothing.
            key: value
            for key, value in self.config.items()
            if value not in (None, "", [], {}) or (key == "Cmd" and value == [])
        }
        # A base's config may hold fields in any order; the order is part of the image id.
        return msgspec.json.encode({**self.document, "config": config, "created": created}, order="deterministic")

    def take_over(self, document: dict[str, Any], image_id: str, chain_id: str | None) -> None:
        """Go on from the image of a cached step."""
        self.document = {key: value for key, value in document.items() if key != "created"}
        self.document["config"] = dict(document.get("config") or {})
        self.parent, self.chain_id = image_id, chain_id

    def _set_env(self, pairs: tuple[tuple[str, str], ...]) -> None:
        env = list(self.config.get("Env") or [])
        for name, value in pairs:
            places = [index for index, entry in enumerate(env) if entry.partition("=")[0] == name]
            if places:
                env[places[0]] = f"{name}={value}"
            else:
                env.append(f"{name}={value}")
        self.config["Env"] = env


def read_ports(text: str) -> list[str]:
    """`80` → `80/tcp`; a range becomes each of its ports.

    Raises:
        InvalidParameter: in Docker's words.
    """
    match = _PORT.match(text)
    if match is None:
        raise InvalidParameter(f"Invalid containerPort: {text.partition('/')[0].rpartition(':')[2]}")
    first, last, protocol = int(match[1]), int(match[2] or match[1]), (match[3] or "tcp").lower()
    if not 0 < first <= last <= 65535:
        raise InvalidParameter(f"Invalid containerPort: {text.partition('/')[0].rpartition(':')[2]}")
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidParameter(f"Invalid proto: {protocol}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _signal(text: str) -> str:
    is_number = text.isdecimal() and text.isascii() and int(text) > 0  # Docker takes any
    if not is_number and not _known_signal(text):
        raise InvalidParameter(f"Invalid signal: {text}")
    return text


def _known_signal(text: str) -> bool:
    import signal

    name = text.upper().removeprefix("SIG")
    return bool(_SIGNALS.match(name)) and (
        hasattr(signal, f"SIG{name}") or re.fullmatch(r"RTM(IN\+([1-9]|1[0-5])|AX-([1-9]|1[0-4]))", name) is not None
    )


def _go_list(words: list[str]) -> str:
    """Words as Go prints them with %q."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def _health(instruction: Healthcheck) -> dict[str, Any]:
    fields = {
        "Test": list(instruction.test),
        "Interval": instruction.interval_ns,
        "Timeout": instruction.timeout_ns,
        "StartPeriod": instruction.start_period_ns,
        "StartInterval": instruction.start_interval_ns,
        "Retries": instruction.retries,
    }
    return {key: value for key, value in fields.items() if value}


def _go_health(instruction: Healthcheck) -> str:
    """A healthcheck as Go prints the struct, which is what Docker's history shows."""
    times = (instruction.interval_ns, instruction.timeout_ns, instruction.start_period_ns)
    shown = " ".join(f'"{go_duration(ns)}"' for ns in times)
    return f"&{{{_go_list(list(instruction.test))} {shown} '\\x{instruction.retries:02x}'}}"


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: 90 s is `1m30s`, half a second `500ms`."""
    if nanoseconds < 10**9:
        return "0s" if not nanoseconds else f"{nanoseconds / 10**6:g}ms"
    seconds = nanoseconds / 10**9
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    rest = f"{seconds % 60:g}s"
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + rest
