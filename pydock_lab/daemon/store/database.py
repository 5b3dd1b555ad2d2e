"""The daemon's metadata: JSON documents in one SQLite file.

Bytes (blobs, layers, volumes, logs) live in files; this file says which of them
count. A document is written in one transaction, in WAL mode, so a `kill -9`
loses nothing that was acknowledged. Used from the event loop's thread and from
worker threads alike: one connection behind one lock, every statement is short.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.errors import SystemFailure

_TABLES = (
    "images",
    "tags",
    "layers",
    "holds",
    "containers",
    "volumes",
    "networks",
    "build_cache",
    "builds",
    "distribution",
)


# Enough for some thousand documents: how a container ended must be kept even when its output filled the disk.
_RESERVE_BYTES = 2 << 20


class Database:
    """One SQLite file holding one key → JSON table per noun.

    A file beside it holds some space, given up when the disk is full and taken again when it is not.
    """

    def __init__(self, path: Path) -> None:
        # The stores that keep a memory of their tables guard it with this same lock: with locks of their
        # own, one thread in a transaction and another in a store would wait for each other for ever.
        self.lock = self._lock = threading.RLock()
        self._depth = 0
        self._reserve = path.with_suffix(".reserve")
        self._spent = True
        self._keep_reserve()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL: a commit survives the process's death; only a power cut may lose the last ones.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        for table in _TABLES:
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID"
            )

    def table(self, name: str) -> Documents:
        """Return the documents of one noun; `name` must be one of the fixed tables."""
        if name not in _TABLES:
            raise ValueError(f"no table {name!r}")
        return Documents(self, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside count together or not at all; may be nested."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._run("COMMIT")
            finally:
                self._depth -= 1

    def execute(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all rows."""
        with self._lock:
            return self._run(statement, parameters)

    def _run(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self._spent and self._depth == 0:
            self._keep_reserve()
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if not _is_full(error) or self._spent:
                raise self._failure(error) from error
        self._reserve.unlink(missing_ok=True)
        self._spent = True
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.OperationalError) -> Exception:
        return SystemFailure("write meta.db: no space left on device") if _is_full(error) else error

    def _keep_reserve(self) -> None:
        """Take the space for bad times, if there is any."""
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)
        else:
            self._spent = False

    def close(self) -> None:
        """Write everything back into the one file and let it go."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()


def _is_full(error: sqlite3.OperationalError) -> bool:
    """Whether a statement failed for want of space (SQLITE_FULL); its code is an attribute from Python 3.11 on."""
    return "disk is full" in str(error)


class Documents:
    """Key → JSON document, in key order. Values are anything msgspec can encode."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name

    def get(self, key: str) -> Any | None:
        """Return the decoded document, or None."""
        rows = self._database.execute(f"SELECT document FROM {self._name} WHERE key = ?", (key,))
        return msgspec.json.decode(rows[0][0]) if rows else None

    def put(self, key: str, document: Any) -> None:
        """Write or replace one document; on disk when this returns (or when the transaction ends)."""
        self._database.execute(
            f"INSERT INTO {self._name} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document",
            (key, msgspec.json.encode(document)),
        )

    def delete(self, key: str) -> None:
        """Forget one document; no error if there is none."""
        self._database.execute(f"DELETE FROM {self._name} WHERE key = ?", (key,))

    def items(self) -> list[tuple[str, Any]]:
        """Return every (key, document), in key order."""
        rows = self._database.execute(f"SELECT key, document FROM {self._name} ORDER BY key")
        return [(key, msgspec.json.decode(document)) for key, document in rows]

    def keys(self) -> list[str]:
        """Return every key, in order."""
        return [key for (key,) in self._database.execute(f"SELECT key FROM {self._name} ORDER BY key")]
