"""Compose files and what Compose 2.26.1 makes of them: `config`, and the config hashes its containers carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.client.compose.load import Source, load
from pydock_lab.client.compose.render import config_json, config_yaml, service_hash

CASES = sorted(path.parent for path in (Path(__file__).parent / "compose").glob("*/compose.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_config_and_hashes_are_composes(case: Path) -> None:
    project = load(Source(case))
    assert config_yaml(project) == (case / "config.yaml").read_text().rstrip("\n")
    assert config_json(project) == (case / "config.json").read_text().rstrip("\n")
    hashes = dict(line.split() for line in (case / "hashes").read_text().splitlines())
    assert {name: service_hash(service) for name, service in project.services.items()} == hashes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_config_prints_is_the_same_project(case: Path) -> None:
    project = load(Source(case))
    again = load(Source(case, text=config_yaml(project)))
    assert config_yaml(again) == config_yaml(project)
