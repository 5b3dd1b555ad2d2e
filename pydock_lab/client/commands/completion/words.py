"""What may stand at a point of a docker command line: for the notebook's Tab and the shell's.

Commands and flags come from the grammar; names of containers, images, volumes and
networks from the engine, if one is running: pressing Tab never starts it.
Dockerfiles and Compose files complete in completion_files.py.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydock_lab.client.commands.grammar import Command, Flag, Grammar, load
from pydock_lab.client.connection import Connection
from pydock_lab.errors import LabError

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    # Kind of each argument; the last one's kind is that of all that follow.
    "container attach": ("running", ""),
    "container commit": ("container", "image"),
    "container cp": ("container:", "container:"),
    "container create": ("image", ""),
    "container diff": ("container", ""),
    "container exec": ("running", ""),
    "container export": ("container", ""),
    "container inspect": ("container",),
    "container kill": ("running",),
    "container logs": ("container", ""),
    "container pause": ("running",),
    "container port": ("container", ""),
    "container rename": ("container", ""),
    "container restart": ("container",),
    "container rm": ("container",),
    "container run": ("image", ""),
    "container start": ("container",),
    "container stats": ("running",),
    "container stop": ("running",),
    "container top": ("running", ""),
    "container unpause": ("container",),
    "container update": ("container",),
    "container wait": ("running",),
    "context export": ("context", ""),
    "context inspect": ("context",),
    "context rm": ("context",),
    "context update": ("context", ""),
    "context use": ("context", ""),
    "image build": ("path", ""),
    "image history": ("image", ""),
    "image import": ("path", "image", ""),
    "image inspect": ("image",),
    "image ls": ("repository", ""),
    "image pull": ("base", ""),
    "image push": ("image", ""),
    "image rm": ("image",),
    "image save": ("image",),
    "image tag": ("image", "image"),
    "inspect": ("container", "image", "volume", "network"),
    "network connect": ("network", "container", ""),
    "network disconnect": ("network", "container", ""),
    "network inspect": ("network",),
    "network rm": ("network",),
    "volume inspect": ("volume",),
    "volume rm": ("volume",),
}
_FLAG_KINDS: Mapping[str, str] = {
    "context": "context",
    "env": "variable",
    "from": "context",
    "link": "container",
    "network": "network",
    "volume": "volume:",
    "volumes-from": "container",
    "ipc": "sharing",
    "pid": "sharing",
}
_FLAG_VALUES: Mapping[str, tuple[str, ...]] = {
    "cgroupns": ("host", "private"),
    "format": ("json", "table", "'{{"),
    "health-cmd": (),
    "log-driver": ("json-file", "none"),
    "mount": ("type=bind,source=", "type=tmpfs,target=", "type=volume,source="),
    "platform": ("linux/amd64", "linux/arm64"),
    "progress": ("auto", "plain", "tty"),
    "pull": ("always", "missing", "never"),
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "tail": ("all", "10", "100"),
    "type": ("container", "image", "network", "volume"),
    "security-opt": ("apparmor=unconfined", "no-new-privileges", "seccomp=unconfined"),
}
_FILTERS: Mapping[str, tuple[str, ...]] = {
    "container": (
        "ancestor=", "before=", "exited=", "expose=", "health=", "id=", "label=", "name=", "network=", "publish=",
        "since=", "status=", "volume=",
    ),
    "image": ("before=", "dangling=", "label=", "reference=", "since=", "until="),
    "network": ("dangling=", "driver=", "id=", "label=", "name=", "scope=", "type="),
    "volume": ("dangling=", "driver=", "label=", "name="),
    "system": ("container=", "event=", "image=", "label=", "network=", "type=", "volume="),
}  # fmt: skip
_SIGNALS = tuple(sorted(entry.name for entry in signal.Signals))
_CAPABILITIES = (
    "ALL", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE",
    "SYS_TIME",
)  # fmt: skip


def complete(
    line: str,
    cursor: int | None = None,
    *,
    connection: Connection | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the words that may replace the one before the cursor, sorted.

    Args:
        line: What follows `docker`: `container run --na`.
        cursor: Position in it; its end where None. What follows the cursor is not looked at.
        connection: To the engine whose names are wanted; None for the one in use.
        environment: For `-e NAME`.
    """
    text = line if cursor is None else line[:cursor]
    *before, prefix = re.split(r"\s+", text.lstrip()) if text.strip() else [""]
    names = EngineNames(connection or Connection(), os.environ if environment is None else environment)
    return sorted({word for word in _candidates(before, prefix, names) if word.startswith(prefix)})


class EngineNames:
    """Names that the engine knows, asked when they are wanted; none where it doesn't run.

    Args:
        connection: To the engine.
        environment: Whose names `-e` takes.
    """

    def __init__(self, connection: Connection, environment: Mapping[str, str]) -> None:
        self._connection = connection
        self._environment = environment

    def of(self, kind: str) -> list[str]:
        """Names of one kind: `container`, `running`, `image`, `volume`, … or with a colon behind: `volume:`."""
        try:
            return self._of(kind)
        except LabError:
            return []

    def _of(self, kind: str) -> list[str]:
        if kind.endswith(":"):
            return [f"{name}:" for name in self.of(kind[:-1])]
        if kind == "variable":
            return sorted(self._environment)
        if kind == "context":
            return [found.name for found in self._connection.contexts.all()]
        if kind == "sharing":
            return ["host", "private", *(f"container:{name}" for name in self.of("running"))]
        if kind == "" or not self._connection.is_up:
            return []
        ask = self._connection.request
        if kind in ("container", "running"):
            found = ask("GET", "/containers/json", query={"all": kind == "container"}).json()
            return [name.removeprefix("/") for document in found for name in document["Names"] if name.count("/") == 1]
        if kind == "volume":
            return [document["Name"] for document in ask("GET", "/volumes").json()["Volumes"] or ()]
        if kind == "network":
            return [document["Name"] for document in ask("GET", "/networks").json()]
        if kind == "base":
            recipes = self._connection.lab("catalog") if self._connection.is_lab else []
            return [*self.of("image"), *(str(recipe["Name"]) for recipe in recipes)]
        tags = [name for document in ask("GET", "/images/json").json() for name in document.get("RepoTags") or ()]
        repositories = [name.rpartition(":")[0] for name in tags]
        if kind == "repository":
            return repositories
        return [*tags, *(name.removesuffix(":latest") for name in tags if name.endswith(":latest"))]


def bash_script() -> str:
    """The script that makes bash ask `pydock __complete` when Tab is pressed."""
    return """_pydock() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=($(pydock __complete "$COMP_LINE" "$COMP_POINT" 2>/dev/null))
    # bash splits words at : and =, so what stands before them is not repeated.
    local whole="${COMP_LINE:0:COMP_POINT}"; whole="${whole##* }"
    local cut="${whole%"$word"}"
    [[ $whole == *[:=]* ]] && COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
}
complete -o default -F _pydock pydock"""


def _candidates(before: list[str], prefix: str, names: EngineNames) -> Iterable[str]:
    grammar = load()
    while before and before[0].startswith("-"):  # -H ADDRESS, --context NAME
        before = before[1 if "=" in before[0] or before[0] in ("-D", "--debug", "--tls", "--tlsverify") else 2 :]
    for length in (2, 1):
        command = grammar.command(*before[:length])
        if command is not None and len(before) >= length:
            return _of_command(command, before[length:], prefix, names)
    if not before:
        return ["--help"] if prefix.startswith("-") else [*grammar.top_level(), *grammar.nouns]
    return _verbs(grammar, before[0]) if len(before) == 1 else []


def _verbs(grammar: Grammar, noun: str) -> list[str]:
    aliases = [name[1] for command in grammar.commands for name in command.names if len(name) == 2 and name[0] == noun]
    return [*grammar.of_noun(noun), *aliases]


def _of_command(command: Command, before: list[str], prefix: str, names: EngineNames) -> Iterable[str]:
    if prefix.startswith("--") and "=" in prefix:
        name = prefix[2:].partition("=")[0]
        flag = command.flag(name)
        values = _flag_values(command, flag, names, prefix.partition("=")[2]) if flag else ()
        return [f"--{name}={value}" for value in values]
    arguments, waiting = _walk(command, before)
    if waiting is not None:
        return _flag_values(command, waiting, names, prefix)
    if prefix.startswith("-") and (command.interspersed or not arguments):
        return ["--help", *(f"--{flag.name}" for flag in (*command.flags, *command.inherited))]
    kinds = _ARGUMENTS.get(" ".join(command.path), ())
    if command.path == ("inspect",):
        return [name for kind in kinds for name in names.of(kind)]
    return _of_kind(kinds[min(arguments, len(kinds) - 1)], prefix, names) if kinds else []


def _of_kind(kind: str, word: str, names: EngineNames) -> list[str]:
    """Names of a kind; where a path may stand (`cp`, `-v`), files too."""
    found = [] if kind == "path" else names.of(kind)
    return [*found, *paths(word)] if kind == "path" or kind.endswith(":") else found


def _walk(command: Command, words: list[str]) -> tuple[int, Flag | None]:
    """Return how many arguments stand there, and the flag whose value comes next."""
    arguments, waiting = 0, None
    for word in words:
        if waiting is not None:
            waiting = None
        elif arguments and not command.interspersed:
            arguments += 1
        elif word.startswith("--"):
            flag = command.flag(word[2:])
            waiting = flag if flag is not None and flag.takes_value else None
        elif word.startswith("-") and word != "-":
            waiting = _waiting_letter(command, word[1:])
        else:
            arguments += 1
    return arguments, waiting


def _waiting_letter(command: Command, letters: str) -> Flag | None:
    for position, letter in enumerate(letters, 1):
        flag = command.flag_of_letter(letter)
        if flag is not None and flag.takes_value:
            return flag if position == len(letters) else None
    return None


def _flag_values(command: Command, flag: Flag, names: EngineNames, word: str) -> Iterable[str]:
    if flag.name == "filter":
        return _FILTERS.get(command.path[0], ())
    if flag.name in ("signal", "stop-signal"):
        return _SIGNALS
    if flag.name in ("cap-add", "cap-drop"):
        return _CAPABILITIES
    if flag.name in ("file", "env-file", "cidfile", "iidfile", "input", "output", "label-file"):
        return paths(word)
    if kind := _FLAG_KINDS.get(flag.name):
        found = _of_kind(kind, word, names)
        return [*found, "bridge", "host", "none"] if kind == "network" else found
    return _FLAG_VALUES.get(flag.name, ())


def paths(prefix: str) -> list[str]:
    """Return the files that a beginning may mean, as it is written: `./li` gives `./lib/`; hidden ones where asked."""
    head, _, name = prefix.rpartition("/")
    head = f"{head}/" if "/" in prefix else ""
    try:
        found = list(os.scandir(Path(head or ".").expanduser()))
    except OSError:
        return []
    return [
        f"{head}{entry.name}/" if entry.is_dir() else f"{head}{entry.name}"
        for entry in found
        if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith("."))
    ]
