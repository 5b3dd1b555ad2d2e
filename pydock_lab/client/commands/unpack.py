"""Unpack an archive's members without letting one land outside, also where Python's own filters are not there yet.

They came with 3.12 and were given to 3.11.4 and 3.10.12; Debian 12 has 3.11.2. The rules are those of its filter
`tar`. Source: PEP 706.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.failure import CommandError

# What is checked here need not be checked again; later versions want to be told.
_CHECKED: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}


def unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, directory: Path, *, numeric_owner: bool = True) -> None:
    """Unpack one member below a directory; a leading slash is dropped, and so are setuid and others' right to write.

    Raises:
        CommandError: it would land outside, by its name or by a link that is there.
        OSError: it can't be written.
    """
    member.name = member.name.lstrip("/")
    inside, landing = os.path.realpath(directory), os.path.realpath(directory / member.name)
    if os.path.commonpath([inside, landing]) != inside:
        raise CommandError(f"'{member.name}' would be extracted to '{landing}', which is outside the destination")
    member.mode &= 0o755
    archive.extract(member, directory, numeric_owner=numeric_owner, **_CHECKED)
