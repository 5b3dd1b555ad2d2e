"""Which subordinate ids a user has: subuid(5) by name and by number."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pydock_lab.daemon.rootless.idmap import Range, subordinate

OWN = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"other:1:2\n{OWN}:100000:65536\n", Range(100000, 65536)),
        (f"{os.getuid()}:5:7\n", Range(5, 7)),
        (f"{OWN}:100:10\n{OWN}:200:10\n", Range(100, 10)),
        ("other:100000:65536\n", None),
        (f"{OWN}:nonsense\n\n{OWN}:x:y\n", None),
        ("", None),
    ],
)
def test_first_range_of_the_user(tmp_path: Path, text: str, expected: Range | None) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    assert subordinate(file, os.getuid()) == expected


def test_no_file_no_range(tmp_path: Path) -> None:
    assert subordinate(tmp_path / "none", os.getuid()) is None
