"""Dockerfiles read by BuildKit itself: the distribution's dockerd has one, its CLI speaks to it.

What ours refuses, that one refuses in the same words; what ours takes, that one takes: it gets as far as the images.

That BuildKit is of 2020: it words a few refusals differently, and does not know what came later.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root

CLI = Path("/usr/bin/docker")
GOLDEN = Path(__file__).parent.parent / "golden" / "dockerfile"
CASES = sorted(GOLDEN.glob("bad-*"))
REAL = sorted(GOLDEN.glob("real-*"))
# Here-documents, flags and checks that came after 2020. A Dockerfile of nothing but ARG ends that dockerd with a panic.
LATER = re.compile(r"heredoc|unpack|network|interval-small|not-utf8|flag-not-bool|healthcheck-retries|only-args")


def test_buildkit_refuses_the_same(oracle: Daemon, tmp_path: Path) -> None:
    cases = [case for case in CASES if not LATER.search(case.name)]
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda case: refusal(oracle, case / "Dockerfile", tmp_path), cases))
    theirs = {case.name: normal(text) for case, text in zip(cases, said, strict=True)}
    ours = {case.name: normal((case / "expected").read_text().partition("\nline ")[0]) for case in cases}
    assert len(cases) > 35
    assert {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]} == {}


def test_buildkit_takes_the_same(oracle: Daemon, tmp_path: Path) -> None:
    # A frontend that a directive names would have to be pulled first; checksums of 2022 are unknown to this one.
    later = re.compile(rb"(?m)^(\xef\xbb\xbf)?# ?syntax|--checksum")
    cases = [case for case in REAL if not later.search((case / "Dockerfile").read_bytes())]
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda case: refusal(oracle, case / "Dockerfile", tmp_path), cases))
    assert len(cases) > 25
    reached = re.compile(r"failed to do request: Head \S+/manifests/|^built$")
    assert {case.name: text for case, text in zip(cases, said, strict=True) if not reached.search(text)} == {}


def refusal(engine: Daemon, dockerfile: Path, context: Path) -> str:
    """The last line of a build that fails."""
    environment = os.environ | {"DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "1"}
    command = [CLI, "build", "--progress", "plain", "--file", dockerfile, context]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else "built"


def normal(text: str) -> str:
    """A refusal without what the two wrap it in."""
    for wrapping in ("failed to solve with frontend \\S+: ", "failed to (create LLB definition|read dockerfile): "):
        text = re.sub(f"^{wrapping}", "", text)
    text = re.sub(r" \(did you mean \S+\)$", "", text)
    text = re.sub(r"^(failed to parse dockerfile: |dockerfile parse error (on )?line \d+: )", "", text)
    return re.sub(r"(flag|flag specified): -*", r"\1: ", text.lower())
