"""A step's changes as a tree: what stands in a directory, and how sizes and counts add up."""

from __future__ import annotations

from typing import Any

from pydock_lab.daemon.engine.layer_tree import LayerTree
from pydock_lab.daemon.store.layers import Change

CHANGES = [
    Change("A", "/etc", 0, directory=True),
    Change("A", "/etc/hosts", 10),
    Change("A", "/usr/lib/a", 300),
    Change("C", "/usr/lib/b", 20),
    Change("D", "/usr/lib/gone", 0),
    Change("C", "/usr/lib.conf", 5),
    Change("A", "/usr-local", 1),
]
TREE = LayerTree(CHANGES, {"/usr/lib/a": (300, 4), "/etc/hosts": (10, 5)})


def names(directory: str) -> list[str]:
    return [entry.name for entry in TREE.entries(directory)]


def test_directories_first_and_names_that_only_begin_alike_stay_apart() -> None:
    assert names("") == ["etc", "usr", "usr-local"]
    assert names("/usr") == ["lib", "lib.conf"]
    assert names("/usr/lib") == ["a", "b", "gone"]
    assert names("/nothing") == []


def test_sizes_counts_and_waste_add_up() -> None:
    etc, usr, _ = TREE.entries("")
    assert (etc.kind, etc.size, etc.counts, etc.wasted, etc.by) == ("A", 10, (2, 0, 0), 10, None)
    assert (usr.kind, usr.size, usr.counts, usr.wasted) == ("", 325, (1, 2, 1), 300)
    a, _, gone = TREE.entries("/usr/lib")
    assert (a.directory, a.wasted, a.by) == (False, 300, 4)
    assert (gone.kind, gone.directory) == ("D", False)
    assert (TREE.counts, TREE.wasted) == ((4, 2, 1), 310)


def test_the_beginning_has_whole_directories_nearest_to_the_root() -> None:
    assert set(TREE.beginning(100, 200)) == {"", "/etc", "/usr", "/usr/lib"}
    few = TREE.beginning(4, 2)
    assert set(few) == {"", "/etc"}, "no room for /usr"
    assert (len(few[""]["entries"]), few[""]["total"]) == (2, 3)


def test_search_looks_at_whole_paths_in_any_case() -> None:
    found: list[dict[str, Any]] = TREE.search("LIB/A")
    assert found == [{"name": "/usr/lib/a", "kind": "A", "size": 300, "wasted": 300, "by": 4}]
    assert TREE.search("none") == []
