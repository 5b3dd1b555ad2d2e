"""Recipes: what a stand-in is made of, as data.

A recipe is a small YAML file (YAML 1.2, read by ruamel.yaml: a learner may write
comments and whole scripts in it, which JSON and TOML's stdlib-less 3.10 forbid).
Those of the package lie in `recipes/`; a user's own, in the data root's
`recipes/`, come first. README.md beside the recipes explains each key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec.reference import DEFAULT_DOMAIN, Reference, parse

Part = Literal["busybox", "certificates", "greeting", "interpreter", "wheelhouse"]


class LayerRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer of a stand-in.

    Attributes:
        comment: What it holds; shown by `docker history`.
        parts: Assemblers that know more than names: the interpreter, BusyBox, …
        programs: Names or absolute paths of host programs that must be there; libraries follow by themselves.
        programs_if_present: Host programs that are taken where they are installed.
        libraries_if_present: Names of libraries that programs open while they run (dlopen).
        host_files: Absolute paths on the host, copied to the same path where they exist.
        directories: Path → permission bits.
        links: Path → target.
        files: Path → text.
        scripts: Path → text; executable.
        users: Lines of /etc/passwd, added to those of the layers below.
        groups: Lines of /etc/group, added likewise.
    """

    comment: str
    parts: tuple[Part, ...] = ()
    programs: tuple[str, ...] = ()
    programs_if_present: tuple[str, ...] = ()
    libraries_if_present: tuple[str, ...] = ()
    host_files: tuple[str, ...] = ()
    directories: dict[str, int] = {}
    links: dict[str, str] = {}
    files: dict[str, str] = {}
    scripts: dict[str, str] = {}
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stand-in.

    Attributes:
        name: Its name in the catalogue.
        stands_for: Familiar names of the repositories on Docker Hub it answers for, any tag.
        summary: One line: what the learner gets.
        differs: What is not as in the real image, one sentence each; `{fact}` is filled in when it is built.
        base: Name of the recipe whose layers lie below, or "".
        layers: Its own layers, lowest first.
        config: The `config` object of the OCI image config (Env, Cmd, Entrypoint, ExposedPorts, …);
            what the base sets holds unless it is set again, Env by variable.
        hint: How to get what it needs on this host, shown when something is missing.
    """

    name: str
    stands_for: tuple[str, ...]
    summary: str
    differs: tuple[str, ...] = ()
    base: str = msgspec.field(name="from", default="")
    layers: tuple[LayerRecipe, ...] = ()
    config: dict[str, Any] = {}
    hint: str | None = None

    def answers(self, reference: Reference) -> bool:
        """True where this recipe may stand in; a digest names one image and nothing stands in for it."""
        if reference.domain != DEFAULT_DOMAIN or reference.digest:
            return False
        return reference.familiar_name in self.stands_for


class RecipeBook:
    """All recipes of one daemon: the package's and the user's."""

    def __init__(self, *directories: Path) -> None:
        """Read recipes from `directories`; the first that has a name wins."""
        self._directories = directories
        self._seen: tuple[tuple[str, int], ...] = ()
        self._recipes: dict[str, Recipe] = {}

    def all(self) -> dict[str, Recipe]:
        """Return recipe by name; files added or changed since the last call are read."""
        files = [file for directory in self._directories for file in sorted(directory.glob("*.yaml"))]
        seen = tuple((str(file), file.stat().st_mtime_ns) for file in files)
        if seen != self._seen:
            recipes: dict[str, Recipe] = {}
            for file in files:
                recipe = read_recipe(file)
                recipes.setdefault(recipe.name, recipe)
            self._recipes, self._seen = recipes, seen
        return self._recipes

    def find(self, reference: Reference | str) -> Recipe | None:
        """Return the recipe that may stand in for a reference, or None."""
        parsed = parse(reference) if isinstance(reference, str) else reference
        return next((recipe for recipe in self.all().values() if recipe.answers(parsed)), None)

    def chain(self, recipe: Recipe) -> list[Recipe]:
        """Return the recipe and those it stands on, lowest first.

        Raises:
            InvalidParameter: a base is unknown, or stands on itself.
        """
        chain = [recipe]
        while name := chain[0].base:
            if name in (known.name for known in chain):
                raise InvalidParameter(f"recipe {recipe.name}: {name} stands on itself")
            if name not in self.all():
                raise InvalidParameter(f"recipe {chain[0].name}: there is no recipe {name} to stand on")
            chain.insert(0, self.all()[name])
        return chain


def read_recipe(file: Path) -> Recipe:
    """Read one recipe.

    Raises:
        InvalidParameter: it is no YAML, or a key or a value of it is wrong; the message names the place.
    """
    from ruamel.yaml import YAML  # costs 60 ms, needed only where a stand-in is
    from ruamel.yaml.error import YAMLError

    try:
        return msgspec.convert(YAML(typ="safe", pure=True).load(file), Recipe)
    except (YAMLError, msgspec.ValidationError) as error:
        raise InvalidParameter(f"recipe {file}: {error}") from error
