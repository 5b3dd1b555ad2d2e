"""BuildKit's own clients on our engine, and on the real one beside it: buildx, docker 20.10, Compose 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

pytestmark = pytest.mark.root

BUILDX = Path(sys.executable).with_name("docker-buildx")
COMPOSE_2 = Path(sys.executable).with_name("docker-compose-2")
CLI_20 = Path("/usr/bin/docker")
_NO_BUILDX = pytest.mark.skipif(not BUILDX.exists(), reason="machine: no buildx (tools/trixie fetches it)")
_NO_20 = pytest.mark.skipif(not CLI_20.exists(), reason="machine: no docker CLI of the distribution")

DOCKERFILE = """\
FROM busybox AS one
ARG WHO=nobody
WORKDIR /a
COPY x sub /x/
RUN echo "hello $WHO"; echo err >&2; cat /x/x
FROM busybox
ENV A=b
COPY --from=one /x/x /y
RUN --mount=type=secret,id=word cat /run/secrets/word
CMD ["cat", "/y"]
"""


@dataclass(frozen=True)
class Client:
    """A way to build through BuildKit; none of the user's own configuration is seen or changed."""

    words: tuple[str, ...]
    config: Path

    def environment(self, engine: Daemon) -> dict[str, str]:
        own = {"DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(self.config)}
        return os.environ | own | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}

    def build(
        self, engine: Daemon, context: Path | str, *flags: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.words, "--progress=plain", *flags, str(context)]
        done = subprocess.run(command, env=self.environment(engine), input=stdin, capture_output=True, timeout=60)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A DOCKER_CONFIG with buildx as the plugin that it is."""
    plugins = tmp_path / "docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(BUILDX)
    return plugins.parent


@pytest.fixture(
    params=[pytest.param("buildx", marks=_NO_BUILDX), pytest.param("20.10", marks=_NO_20)],
)
def client(request: pytest.FixtureRequest, config: Path) -> Client:
    words = ("docker", "buildx", "build") if request.param == "buildx" else (str(CLI_20), "build")
    return Client(words, config)


@pytest.fixture
def buildx(config: Path) -> Client:
    if not BUILDX.exists():
        pytest.skip("machine: no buildx (tools/trixie fetches it)")
    return Client(("docker", "buildx", "build"), config)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "sub").mkdir(parents=True)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "x").write_text("data\n")
    (directory / "sub" / "z").write_text("deeper\n")
    (directory / "left-out").write_text("1")
    (directory / ".dockerignore").write_text("left-out\n")
    (tmp_path / "word").write_text("sesame\n")
    return directory


def told(output: str) -> set[str]:
    """What the progress says, without numbers, times, sizes and digests, in no order: steps are done side by side."""
    lines = set()
    for line in output.splitlines():
        line = re.sub(r"^#\d+ ([\d.]+ )?|( [\d.]+s)?( done)?$", "", line)
        if re.match(r"(DONE|transferring|sha256:|exporting layers|writing image|building with|\.\.\.|$)", line):
            continue
        lines.add(line.replace("docker.io/library/busybox:latest", "docker.io/library/busybox"))
    return lines


def test_what_a_build_says_and_makes(engines: Engines, client: Client, context: Path) -> None:
    secret = f"id=word,src={context.parent / 'word'}"
    said = []
    for engine in engines:
        flags = ("--secret", secret, "--build-arg", "WHO=you", "--label", "l=v", "-t", "made:1")
        first = client.build(engine, context, *flags, "--no-cache")
        assert first.returncode == 0, first.stderr
        again = client.build(engine, context, *flags)
        lines = told(first.stderr) - {"CACHED"}  # of the image alone, which has not to be fetched
        # Which of the two stages tells of their common image is not said anywhere.
        said.append({re.sub(r"\[\S+ 1/\d\] FROM", "FROM", line) for line in lines})
        assert told(again.stderr) >= {"CACHED", "[one 3/4] COPY x sub /x/"}
        assert "hello you" not in told(again.stderr)
        assert engine.docker("run", "--rm", "made:1").stdout == "data\n"
        assert engine.docker("run", "--rm", "made:1", "ls", "/y", "/x", "/a").stdout == "/y\n"
        config = json.loads(engine.docker("image", "inspect", "made:1").stdout)[0]["Config"]
        assert (config["Labels"], config["Cmd"]) == ({"l": "v"}, ["cat", "/y"])
    ours, theirs = said
    assert ours == theirs
    assert {"hello you", "err", "data", "sesame"} <= ours


@pytest.mark.parametrize(
    ("dockerfile", "words", "place"),
    [
        ("FROM busybox\nRUN echo bad; exit 3\n", r"(process|executor failed).*exit code: 3", ">>> RUN echo bad"),
        ("FROM busybox\nRAN x\n", r"dockerfile parse error.*line 2: unknown instruction: RAN", ">>> RAN x"),
        ("FROM busybox\nCOPY nope /x\n", r"nope.*(file does not exist|not found)", ">>> COPY nope"),
        ("FROM busybox\nRUN --mount=type=secret,id=none,required=true true\n", r"secret none.*not found", ""),
        ("", r"cannot be empty", ""),
    ],
)
def test_a_build_that_fails(engines: Engines, buildx: Client, context: Path, dockerfile: str, words: str, place: str):
    (context / "Dockerfile").write_text(dockerfile)
    for engine in engines:
        done = buildx.build(engine, context)
        assert done.returncode == 1
        assert re.search(rf"ERROR: .*{words}", done.stderr), done.stderr
        assert engine is engines.docker or place in done.stderr, "later BuildKits show the place, this one of 2020 not"


def test_what_is_missing_is_said(daemon: Daemon, client: Client, context: Path) -> None:
    done = client.build(daemon, context, "-f", str(context / "Nope"))
    assert done.returncode == 1
    assert "failed to read dockerfile: open Nope: no such file or directory" in done.stderr
    (context / "Dockerfile").write_text("FROM scratch\n")
    done = client.build(daemon, context, "--target", "nowhere")
    assert 'target stage "nowhere" could not be found' in done.stderr


def test_metadata_of_the_result(daemon: Daemon, busybox: str, buildx: Client, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY x /x\n")
    written, iid = context.parent / "metadata", context.parent / "iid"
    done = buildx.build(daemon, context, "-t", "told:1", "--metadata-file", str(written), "--iidfile", str(iid))
    assert done.returncode == 0, done.stderr
    image = json.loads(daemon.docker("image", "inspect", "told:1").stdout)[0]["Id"]
    metadata = json.loads(written.read_text())
    assert {iid.read_text(), metadata["containerimage.digest"], metadata["containerimage.config.digest"]} == {image}
    assert metadata["image.name"] == "docker.io/library/told:1"


@_NO_20
def test_a_quiet_build_of_20_10(engines: Engines, config: Path, context: Path) -> None:
    cli = Client((str(CLI_20), "build"), config)
    for engine in engines:
        (context / "Dockerfile").write_text("FROM busybox\nCOPY x /x\n")
        done = cli.build(engine, context, "-q", "-t", "quiet:1")
        image = json.loads(engine.docker("image", "inspect", "quiet:1").stdout)[0]["Id"]
        assert (done.stdout, done.stderr) == (f"{image}\n", "")
        (context / "Dockerfile").write_text("FROM busybox\nRUN echo loud; exit 3\n")
        failed = cli.build(engine, context, "-q")
        assert failed.returncode == 1
        assert "loud" in failed.stderr


def test_contexts_of_other_kinds(engines: Engines, client: Client, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY x /from-tar\n")
    tar = tmp_path / "context.tar"
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(context, ".")
    for engine in engines:
        built = client.build(engine, "-", "-t", "kinds:1", stdin=tar.read_bytes())
        assert built.returncode == 0, built.stderr
        assert engine.docker("run", "--rm", "kinds:1", "cat", "/from-tar").stdout == "data\n"
        dockerfile = b"FROM busybox\nCOPY x /beside\n"
        built = client.build(engine, context, "-f", "-", "-t", "kinds:2", stdin=dockerfile)
        assert built.returncode == 0, built.stderr
        assert engine.docker("run", "--rm", "kinds:2", "cat", "/beside").stdout == "data\n"


def test_contexts_with_names(daemon: Daemon, busybox: str, buildx: Client, context: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o").write_text("other\n")
    (other / "left-out").write_text("no\n")
    (other / ".dockerignore").write_text("left-out\n")
    (context / "Dockerfile").write_text("FROM base\nCOPY --from=more . /more\nRUN ls /more && cat /more/o\n")
    flags = ("--build-context", f"more={other}", "--build-context", "base=docker-image://busybox")
    done = buildx.build(daemon, context, *flags, "--no-cache")
    assert done.returncode == 0, done.stderr
    assert "[context more] load from client" in told(done.stderr)
    assert {"o", "other"} <= told(done.stderr)
    assert "left-out" not in told(done.stderr)


def transferred(output: str) -> float:
    """How many bytes of the context the client has sent."""
    step = output.partition("load build context")[2]
    number, unit = re.findall(r"transferring context: ([\d.]+)(k?B)", step)[-1]
    return float(number) * (1000 if unit == "kB" else 1)


def test_what_has_not_changed_is_not_sent_again(daemon: Daemon, busybox: str, client: Client, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY . /all\nRUN cd /all && find . | sort && cat d/*\n")
    (context / "d").mkdir()
    for number in range(50):
        (context / "d" / f"{number:02}").write_text(f"{number:05}" * 400)

    def build() -> tuple[float, str]:
        done = client.build(daemon, context, "-t", "sent:1")
        assert done.returncode == 0, done.stderr
        look = "cd /all; find . -type f -links +1 -exec echo SHARED {} +; find . -type f -exec cat {} +; find ."
        return transferred(done.stderr), daemon.docker("run", "--rm", "sent:1", "sh", "-c", look).stdout

    first, whole = build()
    assert first > 100_000
    assert whole.count("00049") >= 400
    again, same = build()
    assert again < 10_000
    assert same == whole
    assert "SHARED" not in whole, "what is kept here is not what an image has"
    (context / "d" / "07").write_text("new\n")
    (context / "d" / "08").unlink()
    (context / "sub" / "z").unlink()
    (context / "sub").rmdir()
    (context / "sub").symlink_to("d")
    (context / "x").unlink()
    (context / "x").mkdir()
    (context / "x" / "y").write_text("now a directory\n")
    changed, now = build()
    assert changed < 10_000
    assert "new\n" in now and "now a directory\n" in now
    there = set(now[now.rindex("\n.\n") if "\n.\n" in now else 0 :].split())
    assert {"./sub", "./x/y", "./d/07"} <= there
    assert not {"./sub/z", "./d/08", "./left-out"} & there


def test_a_client_that_goes_away_cancels_its_build(daemon: Daemon, busybox: str, client: Client, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo started; sleep 1000\n")
    command = [*client.words, "--progress=plain", "--no-cache", str(context)]
    with subprocess.Popen(command, env=client.environment(daemon), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rstrip().endswith(" started"):
                break
        process.kill()
    wait_for(lambda: not list((daemon.data_root / "tmp").glob("build-*")), "the build went on")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_files_of_the_result(engines: Engines, client: Client, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS made\nRUN mkdir -p /o/d && echo deep > /o/d/f && ln -s d/f /o/l && chmod 4750 /o/d/f\n"
        "FROM scratch\nCOPY --from=made /o /\n"
    )
    for name, engine in (("ours", engines.ours), ("docker", engines.docker)):
        out, tar = tmp_path / name, tmp_path / f"{name}.tar"
        assert (done := client.build(engine, context, "-o", str(out))).returncode == 0, done.stderr
        assert (done := client.build(engine, context, "-o", f"type=tar,dest={tar}")).returncode == 0, done.stderr
        assert (out / "d" / "f").read_text() == "deep\n"
        assert os.readlink(out / "l") == "d/f"
        assert (out / "d" / "f").stat().st_mode & 0o7777 == 0o4750
        with tarfile.open(tar) as members:
            assert {member.name.rstrip("/") for member in members} == {"d", "d/f", "l"}


@_NO_BUILDX
def test_what_the_cache_holds(daemon: Daemon, busybox: str, buildx: Client, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nCOPY x /cached\n")
    assert buildx.build(daemon, context).returncode == 0

    def docker(*words: str) -> str:
        command = ["docker", "buildx", *words]
        return subprocess.run(
            command, env=buildx.environment(daemon), capture_output=True, text=True, check=True
        ).stdout

    assert "local source for context" in docker("du", "--verbose")
    assert re.search(r"default\s+running", docker("ls"))
    assert "Total:" in docker("prune", "-f")
    assert "local source for context" not in docker("du", "--verbose")


@pytest.mark.skipif(not COMPOSE_2.exists(), reason="machine: no Compose 2 (tools/trixie fetches it)")
def test_compose_2_builds(daemon: Daemon, busybox: str, buildx: Client, context: Path) -> None:
    (context / "compose.yaml").write_text("""
name: composed
services:
  a: {build: {context: ., args: {WHO: a}, target: one}}
  b:
    image: composed:b
    build:
      context: .
      dockerfile_inline: "FROM busybox\\nRUN --mount=type=secret,id=w cat /run/secrets/w"
      secrets: [w]
secrets:
  w: {file: ../word}
""")
    command = [str(COMPOSE_2), "--progress=plain", "build"]
    environment = buildx.environment(daemon)
    done = subprocess.run(command, env=environment, cwd=context, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "sesame" in said and "hello a" in said
    images = daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert {"composed-a:latest", "composed:b"} <= set(images)
    again = subprocess.run(command, env=environment, cwd=context, capture_output=True, text=True, timeout=60)
    assert again.stdout.count("CACHED") + again.stderr.count("CACHED") == 4
