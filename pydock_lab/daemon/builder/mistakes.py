"""Known mistakes in RUN: what a failed command's last lines usually mean, and what to do about it.

Read from the top; the first that matches is told. A hint explains, it never
replaces the command's own message.
"""

from __future__ import annotations

import re

_MISTAKES: tuple[tuple[str, str], ...] = (
    (
        r"Unable to locate package|has no installation candidate",
        "the image has no package lists: write `RUN apt-get update && apt-get install -y …` as one instruction",
    ),
    (
        r"Do you want to continue\? \[Y/n\]",
        "nobody can answer during a build: apt-get install needs -y",
    ),
    (
        r"Temporary failure (in name resolution|resolving)|[Cc]ould not resolve host|bad address|Name or service not",
        "the build could not look up a name: is there a network, and is --network none in force?",
    ),
    (
        r"[Cc]ould not open requirements file|requirements\.txt.*No such file|package\.json.*(ENOENT|no such file)",
        "the file is not in the image yet: COPY it in an instruction above this RUN",
    ),
    (
        r"sudo: (command )?not found",
        "RUN is root already unless USER says otherwise: leave sudo out",
    ),
    (
        r"exec format error",
        "the program is for another processor, or a script without a first line such as #!/bin/sh",
    ),
    (
        r"\\r|\^M|bad interpreter",
        "the script has Windows line ends: convert it with `sed -i 's/\\r$//'`",
    ),
    (
        r"No space left on device",
        "the disk of the engine is full: `docker system df` says of what, `docker system prune` makes room",
    ),
    (
        r"Read-only file system",
        "it wrote into a read-only mount: --mount=type=bind is read-only unless it says rw",
    ),
    (
        r"Permission denied|Operation not permitted|EACCES",
        "the step runs as another user than the files belong to: see USER above it, and COPY --chown",
    ),
    (
        r"can't cd to|No such file or directory",
        "every RUN begins in WORKDIR: a `cd` in another RUN is forgotten, and COPY is relative to WORKDIR too",
    ),
    (
        r"not found",
        "the image does not have this program: install it in an instruction above, or begin FROM another image",
    ),
)
_STATUS = {
    137: "it was killed: probably there was not enough memory (--memory)",
    139: "it crashed (segmentation fault): often a program for another processor or C library",
}


def hint_for(command: str, output: str, code: int) -> str | None:
    """Return what a failure probably means, or None.

    Args:
        command: What was run.
        output: The last lines that it printed.
        code: Its exit status.
    """
    if code in _STATUS:
        return _STATUS[code]
    if code == 127:
        return _MISTAKES[-1][1] if "sudo" not in output else _MISTAKES[4][1]
    for pattern, hint in _MISTAKES[:-1]:
        if re.search(pattern, output):
            return hint
    if "apt-get install" in command and "-y" not in command and "Abort" in output:
        return _MISTAKES[1][1]
    return None
