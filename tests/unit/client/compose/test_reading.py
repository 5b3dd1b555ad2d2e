"""A Compose file that was parsed once: what it said is kept, and holds for exactly its text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydock_lab.client.compose import document, reading
from pydock_lab.client.compose.document import Document, Override
from pydock_lab.client.compose.problem import ComposeError

TEXT = "services:\n  web: {image: a, ports: [80, 1.5, .inf, 'x']}\n---\nx-more:\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYDOCK_CACHE_ROOT", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compose"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that reach the parser."""
    texts: list[str] = []

    def read_documents(text: str, path: Path) -> list[Document]:
        texts.append(text)
        return document.read_documents(text, path)

    monkeypatch.setattr(reading, "read_documents", read_documents)
    yield texts


def test_second_reading_says_the_same_without_the_parser(parsed: list[str], cache: Path) -> None:
    path = Path("/p/compose.yaml")
    first, second = reading.documents_of(path, TEXT), reading.documents_of(path, TEXT)
    assert first == second == document.read_documents(TEXT, path)
    assert second[0].line(("services", "web", "ports", 2)) == 2
    assert parsed == [TEXT]
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_another_text_or_parser_is_read_anew(parsed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("/p/compose.yaml")
    for text in ("a: 1", "a: 2", "a: 2"):
        reading.documents_of(path, text)
    assert parsed == ["a: 1", "a: 2"]
    monkeypatch.setattr(document, "__file__", __file__)
    assert reading.documents_of(path, "a: 2")[0].value == {"a": 2}
    assert parsed == ["a: 1", "a: 2", "a: 2"]


def test_what_json_cannot_hold_is_not_kept(parsed: list[str]) -> None:
    for _ in range(2):
        (found,) = reading.documents_of(Path("/p/over.yaml"), "ports: !override [80]")
        assert found.value == {"ports": Override([80])}
    assert len(parsed) == 2


@pytest.mark.parametrize("broken", [b"", b"{", b"[1, 2]", b"[[1], null]", b"null", b"\xff"])
def test_broken_cache_is_passed_over(cache: Path, broken: bytes) -> None:
    path = Path("/p/compose.yaml")
    reading.documents_of(path, TEXT)
    (kept,) = cache.iterdir()
    kept.write_bytes(broken)
    assert reading.documents_of(path, TEXT) == document.read_documents(TEXT, path)


def test_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file in its place")
    assert reading.documents_of(Path("/p/compose.yaml"), "a: 1")[0].value == {"a": 1}
    long = Path("/" + "x" * 300)  # longer than a file's name can be
    os.unlink(cache)
    assert reading.documents_of(long, "a: 1")[0].value == {"a": 1}
    assert list(cache.iterdir()) == []


def test_wrong_yaml_is_an_error_every_time(cache: Path) -> None:
    for _ in range(2):
        with pytest.raises(ComposeError, match="line 2"):
            reading.documents_of(Path("/p/compose.yaml"), "a: 1\nb: [")
    assert not cache.exists()
