"""Stand-ins for base images, assembled from this host's files where no registry answers.

A stand-in is an ordinary image: layers in the layer store, a config, a tag. It
says what it is in its labels (`io.pydock.standin…`) and in the notice that a pull
or build prints. Called by `engine` (blocking: from a worker thread).
"""

from __future__ import annotations

import os
import platform
import posixpath
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.parts.busybox import add_busybox
from pydock_lab.daemon.catalog.parts.certificates import add_certificates
from pydock_lab.daemon.catalog.parts.greeting import add_greeting
from pydock_lab.daemon.catalog.parts.interpreter import add_interpreter
from pydock_lab.daemon.catalog.parts.wheels import add_wheels
from pydock_lab.daemon.catalog.recipe import LayerRecipe, Part, Recipe, RecipeBook
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.daemon.catalog.wheelhouse import find_wheelhouse
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import TRANSIENT, LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import NotFound, Unavailable
from pydock_lab.spec.reference import Reference, parse

LABEL = "io.pydock.standin"

_PARTS: dict[Part, Callable[[RootTree, Host], dict[str, str]]] = {
    "busybox": add_busybox,
    "certificates": add_certificates,
    "greeting": add_greeting,
    "interpreter": add_interpreter,
    "wheelhouse": add_wheels,
}
# The date of an image that holds no file of the host.
_NO_DATE = 1704067200
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass
class _Draft:
    """A stand-in before its layers are written.

    Attributes:
        layers: (comment, tree) of every layer, lowest first.
        facts: What the parts found out about this host.
        users: Lines of /etc/passwd so far.
        groups: Lines of /etc/group so far.
    """

    layers: list[tuple[str, RootTree]]
    facts: dict[str, str]
    users: list[str]
    groups: list[str]


class Catalog:
    """The recipes of one daemon, and the images made of them."""

    def __init__(self, layers: LayerStore, images: ImageStore, trace: Trace, scratch: Path) -> None:
        """Keep stand-ins in the stores; `scratch` is a directory inside the data root for work in progress."""
        self._layers = layers
        self._images = images
        self._trace = trace
        self._scratch = scratch
        self._data_root = scratch.parent
        self._book = RecipeBook(self._data_root / "recipes", Path(__file__).with_name("recipes"))
        self._lock = threading.Lock()

    def recipes(self) -> list[Recipe]:
        """Return all recipes, by name."""
        return [recipe for _, recipe in sorted(self._book.all().items())]

    def recipe_for(self, reference: Reference | str) -> Recipe | None:
        """Return the recipe that may stand in for a reference, or None."""
        return self._book.find(reference)

    def build(self, reference: Reference | str) -> Image:
        """Assemble the stand-in for a reference and tag it so; at once where the same was made before.

        Raises:
            NotFound: no recipe answers for the reference.
            Unavailable: this host lacks something the recipe needs; nothing is left of the attempt.
        """
        parsed = parse(reference) if isinstance(reference, str) else reference
        recipe = self.recipe_for(parsed)
        if recipe is None:
            raise NotFound(f"the catalogue has no stand-in for {parsed.familiar}")
        with self._lock:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._scratch, prefix="standin-") as work:
                host = Host(scratch=Path(work), wheelhouse=find_wheelhouse(self._data_root))
                image = self._assemble(recipe, host)
            self._images.tag(str(parsed), image.id)
        return image

    def notice(self, reference: Reference | str, image: Image) -> list[str]:
        """Return the lines that a pull or build prints: what stands in for what, and what differs."""
        parsed = parse(reference) if isinstance(reference, str) else reference
        labels: dict[str, str] = image.config["config"]["Labels"]
        return [
            f"No registry answered for {parsed.familiar}: a stand-in made from this machine's own files is used.",
            *labels[f"{LABEL}.differs"].splitlines(),
        ]

    def _assemble(self, recipe: Recipe, host: Host) -> Image:
        chain = self._book.chain(recipe)
        draft = _Draft([], {}, [], [])
        for link in chain:
            for layer_recipe in link.layers:
                _draft_layer(link, layer_recipe, draft, host)
        config = _image_config(chain, draft)
        if made := self._already_made(config):
            return made
        holder = f"{TRANSIENT}catalog:{recipe.name}"
        try:
            parent: str | None = None
            for _, tree in draft.layers:
                with tempfile.TemporaryFile(dir=host.scratch) as tar:
                    tree.write_tar(tar)
                    tar.seek(0)
                    layer = self._layers.apply(tar, parent, holder=holder)
                parent = layer.chain_id
                config["rootfs"]["diff_ids"].append(layer.diff_id)
            image = self._images.put(msgspec.json.encode(config))
        finally:
            self._layers.release(holder)
        self._trace.emit("catalog", "standin.built", image.id, recipe=recipe.name, layers=len(draft.layers))
        return image

    def _already_made(self, config: dict[str, Any]) -> Image | None:
        """Find the image that differs from a draft in its layers only; what was built on one has its labels too."""
        for image in self._images.list():
            if {**image.config, "rootfs": config["rootfs"]} == config:
                return image
        return None


def _draft_layer(recipe: Recipe, layer: LayerRecipe, draft: _Draft, host: Host) -> None:
    below = draft.layers[-1][1] if draft.layers else None
    tree = RootTree(below)
    # Links and directories first: programs and files then land behind the links (/bin → /usr/bin).
    for path, target in layer.links.items():
        tree.link(path, target)
    for path, mode in layer.directories.items():
        tree.directory(path, mode)
    for part in layer.parts:
        draft.facts |= _PARTS[part](tree, host)
    for name in layer.programs:
        if not host.add_program(tree, name):
            raise Unavailable(f"the {recipe.name} stand-in needs {name}, which is not installed", hint=recipe.hint)
    for name in layer.programs_if_present:
        host.add_program(tree, name)
    for path, target in layer.links.items():
        # By name alone a program beside the link is meant; in which directory it landed depends on the host.
        beside = posixpath.join(posixpath.dirname(path), target)
        if "/" not in target and beside not in tree and (program := host.which(target)) and str(program) in tree:
            tree.link(path, str(program))
    if shell := host.which("sh"):
        for name in layer.libraries_if_present:
            host.add_library(tree, name, like=shell.resolve())
    for path in layer.host_files:
        if Path(path).is_file():
            tree.copy(path, Path(path).resolve())
    for path, text in layer.files.items():
        tree.file(path, text)
    for path, text in layer.scripts.items():
        tree.file(path, text, 0o755)
    if layer.users or layer.groups:
        _add_accounts(tree, layer, draft)
    draft.layers.append((layer.comment, tree))


def _add_accounts(tree: RootTree, layer: LayerRecipe, draft: _Draft) -> None:
    draft.users += layer.users
    draft.groups += layer.groups
    names = [line.partition(":")[0] for line in draft.users]
    tree.file("/etc/passwd", "".join(f"{line}\n" for line in draft.users))
    tree.file("/etc/group", "".join(f"{line}\n" for line in draft.groups))
    tree.file("/etc/shadow", "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names), 0o640)


def _image_config(chain: list[Recipe], draft: _Draft) -> dict[str, Any]:
    """Return the OCI image config without its diff_ids; the same host gives the same bytes."""
    recipe = chain[-1]
    config = _merge_config([link.config for link in chain], draft.facts)
    differs = "\n".join(_fill(sentence, draft.facts) for link in chain for sentence in link.differs)
    known = [recipe.name, os.uname().machine, repr(chain), *(tree.fingerprint() for _, tree in draft.layers)]
    config["Labels"] = config.get("Labels", {}) | {
        LABEL: "true",
        f"{LABEL}.for": recipe.name,
        f"{LABEL}.differs": differs,
        f"{LABEL}.fingerprint": sha256("\n".join(known).encode()).hexdigest(),
    }
    # An image is as old as the newest file in it: a date, and yet the same on every build.
    newest = max((tree.newest for _, tree in draft.layers), default=0) or _NO_DATE
    created = datetime.fromtimestamp(newest, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    history: list[dict[str, Any]] = [
        {"created": created, "created_by": comment, "comment": "stand-in"} for comment, _ in draft.layers
    ]
    if command := config.get("Cmd") or config.get("Entrypoint"):
        words = msgspec.json.encode(command).decode()
        history.append({"created": created, "created_by": f"/bin/sh -c #(nop)  CMD {words}", "empty_layer": True})
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": history,
    }


def _merge_config(configs: list[dict[str, Any]], facts: dict[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for config in configs:
        environment |= dict(variable.partition("=")[::2] for variable in config.get("Env", []))
        if "Entrypoint" in config:
            merged.pop("Cmd", None)  # as in a Dockerfile: the base's command is no argument of another entrypoint
        merged |= config
    merged["Env"] = [f"{name}={_fill(value, facts)}" for name, value in environment.items()]
    return merged


def _fill(text: str, facts: dict[str, str]) -> str:
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", value)
    return text
