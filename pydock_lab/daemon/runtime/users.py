"""Resolve `--user` and `--group-add` with the passwd and group files of a rootfs.

Called inside the container's root, so that links in the image can't lead
anywhere else. The words of its errors are Docker's.

Source: passwd(5), group(5); Docker's `USER` documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_ID = 2**31 - 1


class UnknownUser(ValueError):
    """A user or group is not in the files."""


@dataclass
class User:
    """A resolved user: numbers, supplementary groups, home directory."""

    uid: int
    gid: int
    groups: list[int]
    home: str


def resolve(spec: str, extra_groups: Sequence[str], *, passwd: str = "/etc/passwd", group: str = "/etc/group") -> User:
    """Resolve `user`, `user:group`, `uid`, `uid:gid` or "".

    A number that is no entry's stands for itself (home `/`); a user named without a group gets
    the supplementary groups of the group file.

    Raises:
        UnknownUser: `unable to find user NAME: no matching entries in passwd file`.
    """
    user_part, _, group_part = spec.partition(":")
    uid, gid, name, home = 0, 0, "", "/"
    wanted = user_part or "0"
    entries = list(_entries(passwd, 7))
    entry = next((e for e in entries if e[0] == wanted), None)
    if entry is None and wanted.isdigit():
        entry = next((e for e in entries if e[2] == wanted), None)
    if entry is not None:
        name, uid, gid, home = entry[0], int(entry[2]), int(entry[3]), entry[5] or "/"
    elif wanted.removeprefix("-").isdigit():
        uid = _in_range(int(wanted))
    else:
        raise UnknownUser(f"unable to find user {wanted}: no matching entries in passwd file")
    groups: list[int] = []
    if group_part:
        gid = _group(group_part, group, "unable to find group")
    elif name:
        groups = [int(e[2]) for e in _entries(group, 4) if name in e[3].split(",")]
    added = [_group(extra, group, "Unable to find group") for extra in extra_groups]
    return User(uid, gid, list(dict.fromkeys([gid, *groups, *added])), home)


def _group(wanted: str, path: str, complaint: str) -> int:
    """Return a group's number."""
    for entry in _entries(path, 4):
        if entry[0] == wanted:
            return int(entry[2])
    if wanted.removeprefix("-").isdigit():
        return _in_range(int(wanted))
    raise UnknownUser(f"{complaint} {wanted}: no matching entries in group file")


def _in_range(number: int) -> int:
    if not 0 <= number <= MAX_ID:
        raise UnknownUser("uids and gids must be in range 0-2147483647")
    return number


def _entries(path: str, fields: int) -> Iterator[list[str]]:
    """Yield the well-formed lines of a passwd or group file; one that root inside may not read has none, as in runc."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                entry = line.rstrip("\n").split(":")
                if len(entry) >= fields and entry[2].isdigit() and (fields < 7 or entry[3].isdigit()):
                    yield entry
    except OSError:
        return
