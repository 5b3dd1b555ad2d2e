"""Recipes: those of the package are sound, a user's own come first, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.daemon.catalog import recipe as recipes
from pydock_lab.daemon.catalog.recipe import RecipeBook, read_recipe
from pydock_lab.errors import InvalidParameter

PACKAGE = Path(recipes.__file__).with_name("recipes")


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_recipe_of_the_package_reads(file: Path) -> None:
    recipe = read_recipe(file)
    assert recipe.name == file.stem
    assert recipe.differs, "a stand-in says what differs"
    assert RecipeBook(PACKAGE).chain(recipe)[-1] == recipe


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("python:2.7-alpine", "python"),
        ("docker.io/library/redis:3.2-alpine", "redis"),
        ("hello-world", "hello-world"),
        ("someone/python", None),
        ("ghcr.io/library/python", None),
        ("nosuchimage", None),
        ("python@sha256:" + "0" * 64, None),
    ],
)
def test_what_a_recipe_answers_for(reference: str, name: str | None) -> None:
    found = RecipeBook(PACKAGE).find(reference)
    assert (found.name if found else None) == name


def test_a_users_recipe_comes_first_and_is_seen_when_it_is_added(tmp_path: Path) -> None:
    book = RecipeBook(tmp_path, PACKAGE)
    assert book.all()["alpine"].summary != "mine"
    (tmp_path / "a.yaml").write_text("{name: alpine, stands_for: [alpine], summary: mine}")
    assert book.all()["alpine"].summary == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "x.yaml"),
        ("{name: x, stands_for: [x]}", "summary"),
        ("{name: x, stands_for: [x], summary: s, layer: []}", "layer"),
        ("{name: x, stands_for: [x], summary: s, layers: [{comment: c, parts: [kernel]}]}", "kernel"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(InvalidParameter, match=words):
        read_recipe(file)


def test_bases_that_are_unknown_or_circular(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{name: a, stands_for: [a], summary: s, from: b}")
    (tmp_path / "b.yaml").write_text("{name: b, stands_for: [b], summary: s, from: a}")
    (tmp_path / "c.yaml").write_text("{name: c, stands_for: [c], summary: s, from: nowhere}")
    book = RecipeBook(tmp_path)
    with pytest.raises(InvalidParameter, match="stands on itself"):
        book.chain(book.all()["a"])
    with pytest.raises(InvalidParameter, match="nowhere"):
        book.chain(book.all()["c"])
