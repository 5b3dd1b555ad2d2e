"""Excerpts of the package's own source."""

from __future__ import annotations

import pytest

from pydock_lab.errors import NotFound
from pydock_lab.notebook.views.source import draw, find


def test_a_method_with_its_line_and_docstring() -> None:
    excerpt = find("daemon/runtime/operations/rootfs.py:PivotRoot.execute")
    assert excerpt.text.lstrip().startswith("def execute(")
    picture = draw(excerpt)
    assert picture.plain.startswith("PivotRoot.execute in pydock_lab/daemon/runtime/operations/rootfs.py")
    assert f"line {excerpt.first}" in picture.html
    assert "pivot_root" in picture.html


def test_decorators_belong_to_a_definition() -> None:
    assert find("client/grading/finding.py:Finding").text.startswith("@dataclass(frozen=True)\nclass Finding:")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("no/such.py:f", "there is no file no/such.py"),
        ("../tests/conftest.py:Daemon", "there is no file"),
        ("daemon/linux/syscalls.py:no_such", "is called no_such"),
        ("daemon/linux/syscalls.py", "no name given"),
    ],
)
def test_what_is_not_there_is_named(where: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        find(where)
