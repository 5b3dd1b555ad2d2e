"""What the command says besides its results: errors and warnings, in the form that runc's callers read.

Source: logrus's text and JSON forms; containerd shows the last error of `--log`.
"""

from __future__ import annotations

import json
import sys
import time

from pydock_lab.errors import LabError


def warn(message: str) -> None:
    """Say on stderr what is left out."""
    sys.stderr.write(_line("warning", message))


def error(message: str, log: str = "", log_format: str = "text") -> None:
    """Say what failed: on stderr, or in the log and in short on stderr.

    Args:
        message: One line.
        log: Path of a file to add to, or "".
        log_format: `text` or `json`.
    """
    if not log:
        sys.stderr.write(_line("error", message))
        return
    sys.stderr.write(f"{message}\n")
    entry = json.dumps({"level": "error", "msg": message, "time": _now()}, separators=(",", ":")) + "\n"
    with open(log, "a", encoding="utf-8") as file:
        file.write(entry if log_format == "json" else _line("error", message))


def words(failure: LabError | OSError) -> str:
    """Return an error's words; a system call's as Go has them."""
    if isinstance(failure, LabError):
        return failure.message
    return f"open {failure.filename}: {(failure.strerror or '').lower()}" if failure.filename else str(failure)


def _line(level: str, message: str) -> str:
    return f'time="{_now()}" level={level} msg={json.dumps(message)}\n'


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
