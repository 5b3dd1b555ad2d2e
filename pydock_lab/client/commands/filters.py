"""`--filter` and times as the API takes them."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Mapping

from pydock_lab.client.commands import values
from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session


def filters_json(arguments: Arguments, **more: list[str]) -> str | None:
    """Return the `filters` parameter, or None where there are none.

    Args:
        arguments: Of a command with `--filter`.
        more: Filters the command adds itself.
    """
    found: dict[str, list[str]] = {name: list(wanted) for name, wanted in more.items()}
    for text in arguments.many("filter"):
        name, value = values.key_value(text)
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return filters_of(found) if found else None


def filters_of(wanted: Mapping[str, list[str]]) -> str:
    """Encode filters for the `filters` parameter."""
    return json.dumps(wanted)


def api_time(text: str) -> str | None:
    """Read `--since` and `--until`: `10m` (ago), a Unix time or a date; returns a Unix time, None for "".

    Raises:
        CommandError: it is none of these.
    """
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return text
    try:
        return f"{time.time() - values.duration_ns(text) / 1e9:.9f}"
    except ValueError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CommandError(f'failed to parse value as time or duration: "{text}"') from None
    return f"{moment.timestamp():.9f}"


def confirmed(arguments: Arguments, session: Session, warning: str) -> bool:
    """Whether a prune may go on: `--force` was given or the user answered y."""
    if arguments.on("force"):
        return True
    question = f"WARNING! {warning}\nAre you sure you want to continue? [y/N] "
    if session.stdin is None:
        raise CommandError(question.strip(), hint="nobody can answer here: add -f to go on without the question")
    session.output.write("stdout", question)
    return session.stdin.readline().strip().lower() in (b"y", b"yes")
