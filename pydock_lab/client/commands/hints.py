"""One line of hint for a real error, by rule: the message comes first, then why, and what works.

A rule looks at Docker's message and at the words of the command. The first that
matches gives its hint; `{1}` stands for what the pattern's groups caught. The
rules are what learners meet when they follow the course notes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydock_lab.client.commands.grammar import load


@dataclass(frozen=True)
class Rule:
    """A hint and when it is given.

    Attributes:
        message: Found in Docker's message (a regular expression).
        hint: One line; `{1}` is the pattern's first group.
        words: Found in the command's words joined by spaces, or "" for any command.
    """

    message: str
    hint: str
    words: str = ""


RULES: tuple[Rule, ...] = (
    Rule(
        r"No such (?:container|image): (?:CONTAINER|REPOSITORY)\b|get DRIVER: no such volume|network NETWORK not found",
        "a whole table was put in, headings too: with -q a list is names alone, as in $(docker ps -a -q)",
    ),
    Rule(r"unknown flag: --ports?\b", "ports are published with -p HOST_PORT:CONTAINER_PORT (`--publish`)"),
    Rule(
        r"repository name \((?:library/)?(\w+=[^)]*)\) must be lowercase",
        "-e takes one variable: `{1}` was read as the IMAGE. Write `-e {1}` before the image's name",
    ),
    Rule(
        r'"([^"\s]+)" (?:is not a valid repository/tag|for "-t, --tag" flag): .*must be lowercase',
        "image names are lower case: try `{lower}`",
    ),
    Rule(
        r"repository name \((?:library/)?([^)]*)\) must be lowercase",
        "image names are lower case: write `{lower}` for `{1}`",
    ),
    Rule(
        r"invalid reference format",
        "an image is written name[:tag]; something before it in the command may lack its value",
    ),
    Rule(
        r"'\w+ (?:container )?(stop|rm|kill)' requires at least 1 argument",
        "`$(docker ps -a -q)` is empty when there are no containers: then there is nothing to {1}",
    ),
    Rule(
        r"cannot specify both --restart and --rm",
        "--rm removes the container when it exits: nothing is left to restart",
    ),
    Rule(
        r"port is already allocated|address already in use|bind for [\d.]+:(\d+)",
        "something listens on that port of the host: stop it (`docker ps` shows the ports in use) or publish "
        "another, -p OTHER:PORT",
    ),
    Rule(
        r"[Cc]onflict\. The container name \"/?([^\"]+)\" is already in use",
        "a stopped container keeps its name: `docker rm {1}` first, or run with --rm",
    ),
    Rule(
        r"You cannot remove a running container",
        "stop it first (`docker stop`), or remove it with -f, which kills it",
    ),
    Rule(
        r"unable to remove repository reference|image is being used by|image is referenced in",
        "a container, even a stopped one, still uses the image: remove it with `docker rm` first",
    ),
    Rule(
        r"volume is in use",
        "a container, even a stopped one, still refers to the volume: remove it with `docker rm` first; "
        "`docker rm -v` takes anonymous volumes only",
    ),
    Rule(
        r"No such container: (\S+)",
        "`docker ps -a` lists all containers, also stopped ones; one run with --rm is gone when it exits",
    ),
    Rule(
        r"requested access to the resource is denied|pull access denied",
        "the name may be misspelt, or the repository is private; official images are written without a user's name",
    ),
    Rule(
        r"dial tcp|no such host|connection refused|Client\.Timeout|i/o timeout",
        "no registry answered: without a network only local and stand-in images can be used (`docker images`)",
        words=r"^(image |container )?(pull|run|create|build)",
    ),
    Rule(
        r"exec: \"(-[^\"]+)\": executable file not found",
        "`{1}` stands after the image's name, where the command to run begins: docker's own flags go before the image",
    ),
    Rule(
        r"exec: \"([^\"]+)\": (?:executable file not found|stat [^:]*: no such file)",
        "the image has no program `{1}`: what follows the image's name is the command to run in it",
    ),
    Rule(
        r"COPY failed: (?:forbidden path|file not found)|failed to compute cache key|outside the build context",
        "files are looked up in the build context, the directory given to `build`; `../` can't leave it, nor "
        "can .dockerignore'd files be copied",
    ),
    Rule(
        r"unknown instruction: (\w+)",
        "is an instruction misspelt, or does a line before it lack its `\\`?",
    ),
    Rule(
        r"no build stage in current context|please provide a source image with [`']?from",
        "only comments, parser directives and ARG may stand before the first FROM",
    ),
    Rule(r"the input device is not a TTY", "-t needs a terminal; for a pipe use -i alone"),
    Rule(
        r"Is the docker daemon running|error during connect",
        "client → REST API → daemon: no daemon answers. `pydock daemon` starts one in the foreground",
    ),
    Rule(
        r"bind source path does not exist: (\S+)",
        "--mount needs the directory to exist; -v would make an empty one. A name without / is a named volume",
    ),
    Rule(
        r"no space left on device",
        "the disk is full: `docker system df` shows what takes room, `docker system prune` makes some",
    ),
    Rule(
        r"flag needs an argument: .*'p' in|flag needs an argument: --publish",
        "write -p HOST_PORT:CONTAINER_PORT, for example -p 5000:5000",
    ),
    Rule(r"invalid containerPort|invalid hostPort", "write -p HOST_PORT:CONTAINER_PORT, for example -p 5000:5000"),
    Rule(
        r"invalid restart policy",
        "--restart is no, on-failure[:TIMES], always or unless-stopped; it waits 100 ms, then twice as long each time",
    ),
    Rule(
        r"includes invalid characters for a local volume name",
        'a name is for a volume; a directory of yours needs an absolute path: -v "$PWD/DIR":/PATH',
    ),
    Rule(
        r"mount path must be absolute|must be an absolute path",
        "inside the container the path begins with /: -v NAME:/data",
    ),
    Rule(
        r"env file (\S+) not found|open (\S*\.env): no such file",
        "a missing env file is an error; in Compose `required: false` under `env_file` makes it optional",
    ),
    Rule(
        r"container \S+ is not running|Container \S+ is not running",
        "a container runs as long as its first process: `docker start` it, or look why it ended with `docker logs`",
    ),
    Rule(
        r"network \S+ (?:id \S+ )?has active endpoints",
        "containers are still connected: `docker network inspect` names them, `disconnect` takes one off",
    ),
    Rule(
        r"network (\S+) not found|No such network: (\S+)",
        "`docker network ls` lists the networks, `docker network create` makes one",
    ),
    Rule(
        r"[Nn]o such volume",
        "`docker volume ls` lists the volumes; one that `run -v NAME:/PATH` names is made by itself",
    ),
    Rule(
        r"No such image: (\S+)",
        "`docker images` lists what is here; `docker pull {1}` fetches, `docker build -t {1} .` makes it",
    ),
    Rule(
        r"manifest unknown|manifest for \S+ not found",
        "the repository is there, this tag is not: check the tag's spelling",
    ),
    Rule(
        r"toomanyrequests|pull rate limit",
        "Docker Hub counts pulls by address: wait, `docker login`, or use a stand-in (`pydock catalog ls`)",
    ),
    Rule(
        r"unable to prepare context: path \"?([^\" ]+)\"? not found",
        "the last word of `build` is the context directory; `.` is where you are",
    ),
    Rule(
        r"failed to read dockerfile|Cannot locate specified Dockerfile|no such file or directory.*Dockerfile"
        r"|Dockerfile path: lstat",
        "`build` looks for a file called Dockerfile in the context; -f names another",
    ),
    Rule(
        r"permission denied while trying to connect|can't use the socket",
        "the engine belongs to another user; unset DOCKER_HOST to use your own",
    ),
)


def hint_for(message: str, argv: Sequence[str]) -> str | None:
    """Return a hint for an error message, or None.

    Args:
        message: Docker's message.
        argv: The command's words.
    """
    if nearest := _nearest_name(message):
        return nearest
    line = " ".join(argv)
    for rule in RULES:
        match = re.search(rule.message, message)
        if match and (not rule.words or re.search(rule.words, line)):
            caught = {str(number): group or "" for number, group in enumerate(match.groups(), 1)}
            first = caught.get("1", "").removeprefix("library/")
            return _filled(rule.hint, caught | {"lower": first.lower()})
    return None


def _filled(hint: str, caught: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: caught.get(match[1], match[0]), hint)


def _nearest_name(message: str) -> str | None:
    """Suggest the command or flag that was meant."""
    import difflib

    grammar = load()
    if match := re.match(r"\S+: unknown command: (\S+) (?:(\S+) )?(\S+)$", message.partition("\n")[0]):
        program, noun, word = match.groups()
        known = list(grammar.of_noun(noun)) if noun else [*grammar.top_level(), *grammar.nouns]
        prefix = f"{program} {noun}" if noun else program
        if near := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
            return f"did you mean `{prefix} {near[0]}`?"
    if match := re.match(r"unknown flag: --([\w-]+)", message):
        usage = re.search(r"Usage:  \S+ (.*?)(?: \[OPTIONS\].*| [A-Z].*)?$", message, re.MULTILINE)
        command = grammar.command(*usage[1].split()) if usage else None
        names = [flag.name for flag in command.flags] if command else []
        if near := difflib.get_close_matches(match[1], names, n=1, cutoff=0.6):
            return f"did you mean `--{near[0]}`?"
    return None
