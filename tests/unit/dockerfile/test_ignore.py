"""`.dockerignore` patterns, as the Dockerfile reference describes them."""

from pathlib import Path

import pytest

from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.errors import InvalidParameter


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("*.md", "a.md", True),
        ("*.md", "d/a.md", False),
        ("*/*.md", "d/a.md", True),
        ("**/*.md", "a.md", True),
        ("**/*.md", "x/y/a.md", True),
        ("**", "x/y", True),
        ("x/**", "x/y/z", True),
        ("x/**", "x", False),
        ("x/**/z", "x/z", True),
        ("x/**/z", "x/a/b/z", True),
        ("dir", "dir/file", True),
        ("dir", "dirt/file", False),
        ("/dir", "dir/file", True),
        ("./dir/", "dir/file", True),
        ("a/../b", "b", True),
        ("?", "a", True),
        ("?", "ab", False),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[a-c]x", "dx", False),
        ("[^a-c]x", "dx", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "a.md", True),
        ("!README.md\n*.md", "README.md", True),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "keep/below", False),
        ("dir\n!dir/keep", "dir/keep", False),
        ("dir\n!dir/keep", "dir/other", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("# comment\n\n  a  \n", "a", True),
        ("\ufeffa", "a", True),
        (".", "anything", True),
        ("a.b", "axb", False),
        ("(x)+", "(x)+", True),
    ],
)
def test_excludes(patterns: str, path: str, excluded: bool) -> None:
    assert Ignore.parse(patterns).excludes(path) is excluded


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "!"])
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(InvalidParameter):
        Ignore([pattern])


def test_select_reads_an_excluded_directory_only_for_its_exceptions(tmp_path: Path) -> None:
    for name in ("a/keep/x", "a/drop", "b/y", "c"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "link").symlink_to("b")
    ignore = Ignore.parse("a\n!a/keep\nb\n")
    assert list(ignore.select(tmp_path)) == ["a/keep", "a/keep/x", "c", "link"]
    assert ignore.prunes("b")
    assert not ignore.prunes("a")
