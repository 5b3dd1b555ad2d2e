"""Cache keys and, above all, the reasons for a miss."""

from dataclasses import replace
from pathlib import Path

import pytest

from pydock_lab.daemon.builder.cache import BuildCache, Inputs
from pydock_lab.daemon.store.database import Database

RUN = Inputs(parent="sha256:aa", keyword="RUN", instruction="make", arguments={"V": "1"})
COPY = Inputs(parent="sha256:bb", keyword="COPY", instruction="COPY . /app", files={"a": "1", "b": "2"})


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    made = BuildCache(Database(tmp_path / "meta.db").table("build_cache"))
    made.add(RUN, "sha256:image-of-run", "build-1", 3)
    made.add(COPY, "sha256:image-of-copy", "build-1", 4)
    return made


def test_a_hit_says_from_where(cache: BuildCache) -> None:
    hit = cache.find(replace(RUN))
    assert hit is not None
    assert (hit.image_id, hit.build, hit.step) == ("sha256:image-of-run", "build-1", 3)


def test_it_outlives_the_daemon(tmp_path: Path) -> None:
    database = Database(tmp_path / "meta.db")
    BuildCache(database.table("build_cache")).add(RUN, "sha256:i", "b", 1)
    database.close()
    assert BuildCache(Database(tmp_path / "meta.db").table("build_cache")).find(RUN) is not None


@pytest.mark.parametrize(
    ("inputs", "field", "text"),
    [
        (replace(RUN, instruction="make all"), "instruction", "the instruction's text changed"),
        (replace(RUN, arguments={"V": "2"}), "argument", "ARG V changed"),
        (replace(RUN, options={"network": "none"}), "option", "option network changed"),
        (replace(RUN, parent="sha256:cc"), "parent", "the step before was built anew"),
        (replace(COPY, files={"a": "1", "b": "3"}), "file", "file b changed"),
        (replace(COPY, files={"c": "1"}), "file", "files a, b, c changed"),
        (Inputs("sha256:dd", "ENV", "ENV a=b"), "new", "no ENV step like this one has been built before"),
    ],
)
def test_reasons(cache: BuildCache, inputs: Inputs, field: str, text: str) -> None:
    assert cache.find(inputs) is None
    miss = cache.explain(inputs, first=False)
    assert (miss.field, miss.text) == (field, text)


def test_a_changed_file_comes_with_both_digests(cache: BuildCache) -> None:
    miss = cache.explain(replace(COPY, files={"a": "1", "b": "3"}), first=False)
    assert list(miss.changes) == [{"name": "b", "before": "2", "after": "3"}]


def test_behind_from_the_parent_is_the_base_image(cache: BuildCache) -> None:
    assert cache.explain(replace(RUN, parent="sha256:cc"), first=True).field == "base"


def test_the_order_of_files_does_not_count() -> None:
    assert COPY.key == replace(COPY, files={"b": "2", "a": "1"}).key


def test_pruning_forgets_everything(cache: BuildCache) -> None:
    assert len(cache.clear()) == 2
    assert cache.find(RUN) is None
    assert cache.explain(RUN, first=False).field == "new"
