"""Questions that the notebook itself asks the engine, outside the command grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_dockers_words(ask: Callable[[], T]) -> T:
    """Ask; an engine's error becomes one with the words of the docker CLI.

    Raises:
        CommandError: the engine refused or is gone.
        LabError: what `ask` raises itself.
    """
    from pydock_lab.client.commands.execute import engine_hint, engine_message
    from pydock_lab.client.commands.failure import CommandError
    from pydock_lab.errors import LabError

    try:
        return ask()
    except LabError:
        raise
    except Exception as error:
        if (message := engine_message(error)) is None:
            raise
        raise CommandError(message, hint=engine_hint(error)) from error
