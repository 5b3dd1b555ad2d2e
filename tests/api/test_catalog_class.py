"""A recipe of one's own, and one archive for a class: into the real engine and into ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.api.test_cli import pydock

pytestmark = pytest.mark.root

RECIPE = """
name: class-greeter
stands_for: [class-greeter]
summary: says what the class is about
from: busybox
layers:
  - comment: the words
    files: {/etc/motd: "hello, class\\n"}
    scripts: {/greet: "#!/bin/sh\\ncat /etc/motd\\n"}
    users: ["learner:x:1000:1000::/:/bin/sh"]
config: {Cmd: [/greet], User: learner}
"""


def test_a_recipe_of_ones_own_in_an_archive_for_the_class(engines: Engines, tmp_path: Path) -> None:
    ours = engines.ours
    place = ours.data_root / "recipes" / "class-greeter.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(RECIPE)
    archive, name = tmp_path / "class.tar", "class-greeter:latest"
    assert "recipes/NAME.yaml in the engine's data root" in pydock(ours, "catalog", "--help").stdout
    try:
        assert "says what the class is about" in pydock(ours, "catalog", "ls").stdout
        done = pydock(ours, "catalog", "export", str(archive), name)
        assert done.returncode == 0, done.stderr
        assert "no stand-in for nosuch" in pydock(ours, "catalog", "export", str(archive), "nosuch").stderr
        ids = set()
        for engine in (engines.docker, ours):
            engine.docker("rmi", "-f", name)
            loaded = engine.docker("load", "-i", str(archive))
            assert loaded.stdout == f"Loaded image: {name}\n", loaded.stderr
            said = engine.docker("run", "--rm", name)
            assert (said.returncode, said.stdout) == (0, "hello, class\n"), said.stderr
            ids.add(engine.docker("images", "-q", "--no-trunc", name).stdout)
        assert len(ids) == 1, "the same image on both"
        place.write_text("name: [")
        broken = pydock(ours, "catalog", "ls")
        assert broken.returncode == 1 and "class-greeter.yaml" in broken.stderr
    finally:
        place.unlink()
        for engine in engines:
            engine.docker("rmi", "-f", name)
