"""`--user` and `--group-add` against passwd and group files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydock_lab.daemon.runtime import users


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:\nbroken line\n77:x:5:6::/n:\n"
    )
    (tmp_path / "group").write_text("root:x:0:\nstaff:x:50:alice,bob\nwheel:x:10:bob\n")
    return {"passwd": str(tmp_path / "passwd"), "group": str(tmp_path / "group")}


@pytest.mark.parametrize(
    ("spec", "extra", "expected"),
    [
        ("", [], (0, 0, [0], "/root")),
        ("bob", [], (1000, 1001, [1001, 50, 10], "/home/bob")),
        ("1000", [], (1000, 1001, [1001, 50, 10], "/home/bob")),
        ("bob:staff", [], (1000, 50, [50], "/home/bob")),
        ("bob:7", ["wheel", "9"], (1000, 7, [7, 10, 9], "/home/bob")),
        ("4242", [], (4242, 0, [0], "/")),
        ("4242:4", [], (4242, 4, [4], "/")),
        ("77", [], (5, 6, [6], "/n")),
    ],
)
def test_resolve(files: dict[str, str], spec: str, extra: list[str], expected: tuple[object, ...]) -> None:
    user = users.resolve(spec, extra, **files)
    assert (user.uid, user.gid, user.groups, user.home) == expected


@pytest.mark.parametrize(
    ("spec", "extra", "words"),
    [
        ("eve", [], "unable to find user eve: no matching entries in passwd file"),
        ("bob:eve", [], "unable to find group eve: no matching entries in group file"),
        ("bob", ["eve"], "Unable to find group eve: no matching entries in group file"),
        ("-1", [], "uids and gids must be in range 0-2147483647"),
        ("4294967296", [], "uids and gids must be in range 0-2147483647"),
    ],
)
def test_unknown(files: dict[str, str], spec: str, extra: list[str], words: str) -> None:
    with pytest.raises(users.UnknownUser) as caught:
        users.resolve(spec, extra, **files)
    assert str(caught.value) == words


def test_without_files() -> None:
    assert users.resolve("0:0", [], passwd="/none", group="/none").home == "/"
