"""A session: the same docker commands on our engine and on Docker's, and what may differ in the answers.

The tests beside this file compare sessions; the engines themselves are fixtures of conftest.
"""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

# A command, its status, its stdout and its stderr.
Said = tuple[str, int, str, str]

# What may differ from one run, or one version of Docker, to the next.
_NORMAL = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(failed to create (task for container|shim task): )+"), ""),
    # runc names its own step before the reason; the reason is what a learner reads.
    (re.compile(r"OCI runtime (create|exec) failed: (runc|pydock)( create| exec)? failed: "), "OCI runtime failed: "),
    (re.compile(r"/(docker|pydock)/(?=ID/)"), "/CGROUP/"),
)

# What Docker words otherwise since 20.10, the distribution's version: both wordings become one.
_SINCE = (
    (
        re.compile(r"You cannot remove a running container ID\. Stop the container before attempting removal or force"),
        "cannot remove container: container is running: stop the container before removing or force",
    ),
    (re.compile(r'cannot remove container "/\w+": container'), "cannot remove container: container"),
    (re.compile(r"maximum retry count cannot be used with restart policy 'always'"), "BAD RETRIES"),
    (re.compile(r"maximum retry count cannot be used with restart policy 'no'"), "BAD RETRIES"),
    (re.compile(r"invalid restart policy: maximum retry count can only be used with 'on-failure'"), "BAD RETRIES"),
    (re.compile(r"(invalid restart policy: )?maximum retry count cannot be negative"), "NEGATIVE RETRIES"),
    (re.compile(r"unknown or invalid runtime name: "), "unknown runtime specified "),
    (re.compile(r"nrecognised filter"), "nrecognized filter"),
    (
        re.compile(
            r"You cannot remove a paused container ID\. Unpause and then stop the container before attempting "
            r"removal or force remove"
        ),
        "cannot remove container: container is paused and must be unpaused first",
    ),
    (re.compile(r"(?<=NAME=/)\w+(?=/)"), "PARENT"),
    (re.compile(r"(?<=://)\d+\.\d+\.\d+\.\d+"), "ADDRESS"),
    (re.compile(r"no such image: [\w-]+: No such image"), "No such image"),
    (re.compile(r"No such image: no-such$", re.MULTILINE), "No such image: no-such:latest"),
    (re.compile(r"(dockerfile parse error (on )?line \d+|failed to parse Dockerfile): "), ""),
    (re.compile(r" \(did you mean \w+\?\)"), ""),
    (re.compile(r"nknown flag: (--)?"), "nknown flag: "),
    (re.compile(r"/proc/interrupts tmpfs\n"), ""),
    (re.compile(r"(?<=: )[A-Z](?=[a-z ])"), lambda match: match[0].lower()),
)


def sessions(**tables: dict[str, str]) -> pytest.MarkDecorator:
    """Give a test each session of some tables as its `script`; a case is named `table: session`."""
    named = [(f"{group}: {name}", script) for group, table in tables.items() for name, script in table.items()]
    return pytest.mark.parametrize("script", [pytest.param(script, id=name) for name, script in named])


def in_both(engines: Engines, script: str) -> tuple[list[Said], list[Said]]:
    """Run a session on both engines at once; return what ours said and what Docker's did."""
    with ThreadPoolExecutor(2) as both:
        ours, theirs = both.map(session, engines, (script, script))
    return ours, theirs


def normal(text: str) -> str:
    """Return output without what may differ."""
    for pattern, replacement in (*_NORMAL, *_SINCE):
        text = pattern.sub(replacement, text)
    return text


def session(engine: Daemon, script: str) -> list[Said]:
    """Run a session; return each command with its status, stdout and stderr."""
    record = []
    for line in filter(None, map(str.strip, script.splitlines())):
        done = engine.docker(*shlex.split(line))
        output = normal(done.stdout)
        if line.startswith("diff "):  # dockerd walks a map: its order is another one every time
            output = "".join(sorted(output.splitlines(keepends=True)))
        record.append((line, done.returncode, output, normal(done.stderr)))
    return record
