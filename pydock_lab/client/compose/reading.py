"""A Compose file's documents, parsed once for each text.

Parsing YAML costs more than most of what Compose does: importing the parser alone
takes longer than asking the engine for a project's containers. So what a file said
is kept beside its whole text, and counts for exactly that text and the parser as it
is now. A cache that is missing, broken or can't be written is no error: the file is
parsed. Who calls it: load.py.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydock_lab import paths
from pydock_lab.client.compose import document
from pydock_lab.client.compose.document import Document, read_documents


def documents_of(path: Path, text: str) -> list[Document]:
    """Return the documents of a file.

    Args:
        path: Of the file, absolute.
        text: What is in it.

    Raises:
        ComposeError: the text is no YAML, with the line.
    """
    kept = paths.cache_root() / "compose" / quote(str(path), safe="")
    mark = [_parser(), text]
    if (found := _kept(kept, mark)) is not None:
        return [Document(path, value, {tuple(place): line for place, line in lines}) for value, lines in found]
    documents = read_documents(text, path)
    with contextlib.suppress(OSError, TypeError):  # TypeError: `!reset` and `!override` are no JSON
        _keep(kept, json.dumps([mark, [[one.value, list(one.lines.items())] for one in documents]]))
    return documents


def _parser() -> list[int]:
    """What tells this version of the parser from another."""
    status = Path(document.__file__).stat()
    return [status.st_mtime_ns, status.st_size]


def _kept(path: Path, mark: list[Any]) -> list[Any] | None:
    try:
        found, documents = json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return None
    return documents if found == mark and isinstance(documents, list) else None


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{os.getpid()}")
    try:
        fresh.touch(mode=0o600)  # a Compose file may hold passwords
        fresh.write_text(text, "utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
