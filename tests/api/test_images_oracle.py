"""Image commands that were found to differ from dockerd's: the same on both engines, output and status equal."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon
from tests.unit.daemon.store.conftest import make_tar

pytestmark = [pytest.mark.root, pytest.mark.oracle]

NONE = f"sha256:{'0' * 64}"


def told(engine: Daemon, *words: str) -> tuple[int, str, str]:
    """Status, stdout and stderr, without what can't be equal: ids of images made now."""
    done = engine.docker(*words)
    return done.returncode, re.sub(r"\b[0-9a-f]{12,64}\b", "ID", done.stdout), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "image prune -f --filter until=2022-13-01",
        "image prune -f --filter until=2022-01-45",
        "image prune -f --filter until=2022-01-01T25:00:00Z",
        "image prune -f --filter until=2022-01-01T22:1",
        "image prune -f --filter until=2022-01-01x",
        "image prune -f --filter until=1h --filter until=2h",
        "image prune -f --filter until=2006-01-02T15:04",
        "container prune -f --filter until=2022-02-30",
        "network prune -f --filter until=1h --filter until=1m",
        "save nosuch",
        "save nosuch:1",
        "save busybox:nosuch",
        f"save busybox@{NONE}",
        "save sha256:1234",
        "images -q -f reference=b?sybox",
        "images -q -f reference=[^b]*x",
        "images -q -f reference=[z-a]*",
        "import http://127.0.0.1:1/nothing",
    ],
)
def test_words(engines: Engines, words: str) -> None:
    ours, theirs = (told(engine, *words.split()) for engine in engines)
    assert ours == theirs


@pytest.mark.parametrize("platform", ["bad!!", "linux/a/b/c", "nope", "windows"])
def test_platforms_that_are_none(engines: Engines, rootfs_tar: Path, platform: str) -> None:
    ours, theirs = (told(engine, "import", "--platform", platform, str(rootfs_tar)) for engine in engines)
    assert ours == theirs
    assert ours[0] == 1


@pytest.mark.parametrize("table", [b"[]", b"null", b"{}", b'"text"', b"7"])
def test_tables_without_images(engines: Engines, tmp_path: Path, table: bytes) -> None:
    (tmp_path / "image.tar").write_bytes(make_tar(("manifest.json", table)))
    ours, theirs = (told(engine, "load", "-i", str(tmp_path / "image.tar")) for engine in engines)
    assert ours == theirs


def test_ps_tells_the_id_of_an_image_whose_name_leads_elsewhere(engines: Engines) -> None:
    answers = []
    for engine in engines:
        engine.docker("tag", "busybox", "travels:1")
        engine.docker("create", "--name", "traveller", "travels:1")
        before = told(engine, "ps", "-a", "-f", "name=traveller", "--format", "{{.Image}}")
        engine.docker("rmi", "-f", "travels:1")
        after = told(engine, "ps", "-a", "-f", "name=traveller", "--format", "{{.Image}}")
        engine.docker("rm", "traveller")
        answers.append((before, after))
    assert answers[0] == answers[1] == ((0, "travels:1\n", ""), (0, "ID\n", ""))


def test_a_container_has_its_image_s_parents_as_ancestors(engines: Engines, rootfs_tar: Path) -> None:
    answers = []
    for engine in engines:
        engine.docker("import", "--change", 'CMD ["sh"]', str(rootfs_tar), "eldest")
        engine.docker("create", "--name", "elder", "eldest")
        engine.docker("commit", "elder", "younger:1")
        engine.docker("create", "--name", "grandchild", "younger:1")
        names = [
            told(engine, "ps", "-a", "-f", f"ancestor={image}", "--format", "{{.Names}}")[1].split()
            for image in ("eldest", "younger:1", "nosuch")
        ]
        engine.docker("rm", "elder", "grandchild")
        engine.docker("rmi", "younger:1", "eldest")
        answers.append(names)
    assert answers[0] == answers[1] == [["grandchild", "elder"], ["grandchild"], []]


def test_a_commit_of_a_container_that_changed_nothing_adds_no_layer(engines: Engines) -> None:
    answers = []
    for engine in engines:
        engine.docker("create", "--name", "idle", "busybox")
        steps = [
            told(engine, "commit", "-c", "ENV", "idle", "idle:1"),
            told(engine, "commit", "-c", "ENV a=b", "idle", "idle:1"),
            told(engine, "image", "inspect", "-f", "{{len .RootFS.Layers}} {{.Config.Env}}", "idle:1"),
            told(engine, "history", "--format", "{{.Size}}", "idle:1"),
            told(engine, "rmi", "idle:1"),
        ]
        engine.docker("rm", "idle")
        answers.append(steps)
    assert answers[0] == answers[1]
    assert answers[0][2][1].startswith("1 ")


def test_an_intermediate_image_is_not_dangling(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nLABEL step=1\nLABEL step=2\n")
    for engine in engines:
        engine.docker("build", "-q", "-t", "stepped:1", str(tmp_path))
        shown = [
            told(engine, "images", *flags, "-q", "--filter", "label=step=1", "--filter", f"dangling={wanted}")[1]
            for flags in ((), ("-a",))
            for wanted in ("true", "false")
        ]
        assert shown == ["", "", "", ""]
        assert told(engine, "images", "-a", "-q", "--filter", "label=step=1")[1] == "ID\n"
        engine.docker("rmi", "stepped:1")


def test_events_of_an_image_that_comes_and_goes(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nLABEL colour=red\n")
    archive, name = str(tmp_path / "image.tar"), "travels:2"
    steps = (
        *(["build", "-q", "-t", name, str(tmp_path)], ["save", "-o", archive, name], ["rmi", name]),
        *(["load", "-q", "-i", archive], ["rmi", name]),
    )
    answers = []
    for engine in engines:
        begun = int(time.time())
        for words in steps:
            assert engine.docker(*words).returncode == 0
        with closing(engine.client()) as client:
            wanted = {"type": "image", "label": "colour=red"}
            told = client.events(since=begun, until=int(time.time()) + 1, decode=True, filters=wanted)
            answers.append([(each["Action"], sorted(each["Actor"]["Attributes"])) for each in told])
    assert answers[0] == answers[1]
    assert ("load", ["colour", "name"]) in answers[0]
