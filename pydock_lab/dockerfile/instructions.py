"""The instructions of a Dockerfile, each a frozen dataclass.

Data only; typed.py makes them from the parser's nodes, substitution.py expands
variables in them, the builder carries them out. Source: the Dockerfile
reference; BuildKit's frontend/dockerfile/instructions/commands.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from pydock_lab.dockerfile.parser import Heredoc


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What all have in common.

    Attributes:
        start_line: 1-based.
        end_line: 1-based, heredocs included.
        text: The logical line as written, continuation lines joined.
    """

    keyword: ClassVar[str] = ""

    start_line: int = 0
    end_line: int = 0
    text: str = ""

    @property
    def meaning(self) -> str:
        """What it says, as JSON: the same however and wherever it is written (`ENV a b`, `ENV a=b`)."""
        written = ("start_line", "end_line", "text")
        return json.dumps({name: value for name, value in vars(self).items() if name not in written}, default=vars)


@dataclass(frozen=True, kw_only=True)
class From(Instruction):
    """FROM [--platform=P] IMAGE [AS NAME]; `image` may be an earlier stage or `scratch`."""

    keyword = "FROM"
    image: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line in one of its two forms.

    Attributes:
        words: The words of the exec form, or the one string of the shell form.
        shell_form: To be run by the image's shell.
    """

    words: tuple[str, ...]
    shell_form: bool

    def resolve(self, shell: list[str]) -> list[str]:
        """Return the argument vector, with `shell` in front of a shell form."""
        return [*shell, *self.words] if self.shell_form else list(self.words)


@dataclass(frozen=True, kw_only=True)
class Run(Instruction):
    """RUN; flags as written, `mounts` one string per `--mount`."""

    keyword = "RUN"
    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str = ""
    security: str = ""


@dataclass(frozen=True, kw_only=True)
class Cmd(Instruction):
    """CMD."""

    keyword = "CMD"
    command: Command


@dataclass(frozen=True, kw_only=True)
class Entrypoint(Instruction):
    """ENTRYPOINT."""

    keyword = "ENTRYPOINT"
    command: Command


@dataclass(frozen=True, kw_only=True)
class Transfer(Instruction):
    """What COPY and ADD share.

    Attributes:
        sources: Paths or patterns in the build context, or URLs.
        destination: As written; relative to the working directory; a trailing slash means a directory.
        files: Here-documents among the sources.
        chown: `user[:group]`, names or numbers, or "".
        chmod: Octal or symbolic mode, or "".
        link: Make a layer of its own that doesn't look at the ones below.
        parents: Keep the sources' parent directories.
        excludes: Patterns left out.
    """

    sources: tuple[str, ...]
    destination: str
    files: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Copy(Transfer):
    """COPY; `source_image` (`--from`) is a stage name, a stage number or an image."""

    keyword = "COPY"
    source_image: str = ""


@dataclass(frozen=True, kw_only=True)
class Add(Transfer):
    """ADD."""

    keyword = "ADD"
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Env(Instruction):
    """ENV."""

    keyword = "ENV"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Label(Instruction):
    """LABEL."""

    keyword = "LABEL"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Arg(Instruction):
    """ARG; a name without a default has None."""

    keyword = "ARG"
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, kw_only=True)
class Expose(Instruction):
    """EXPOSE; `port[-port][/protocol]` as written."""

    keyword = "EXPOSE"
    ports: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    keyword = "VOLUME"
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class User(Instruction):
    """USER."""

    keyword = "USER"
    user: str


@dataclass(frozen=True, kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    keyword = "WORKDIR"
    path: str


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Instruction):
    """HEALTHCHECK.

    Attributes:
        test: `("NONE",)`, `("CMD", …)` or `("CMD-SHELL", line)`.
        interval_ns: And the other times: nanoseconds, 0 for the default.
        retries: 0 for the default.
    """

    keyword = "HEALTHCHECK"
    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, kw_only=True)
class Shell(Instruction):
    """SHELL."""

    keyword = "SHELL"
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    keyword = "STOPSIGNAL"
    signal: str


@dataclass(frozen=True, kw_only=True)
class Onbuild(Instruction):
    """ONBUILD; `expression` is the trigger's text as the image config keeps it."""

    keyword = "ONBUILD"
    expression: str


@dataclass(frozen=True, kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER (deprecated: a label says it better)."""

    keyword = "MAINTAINER"
    maintainer: str
