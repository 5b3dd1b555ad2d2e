"""What is wrong with a Compose file or with what it asks for."""

from __future__ import annotations

from pydock_lab.client.commands.failure import CommandError

NOT_FOUND = 14
INVALID = 15


class ComposeError(CommandError):
    """A Compose file can't be used; the exit status is Compose 2's (14: a file is missing, 15: it is wrong).

    Args:
        message: Compose's own words where it has some.
        exit_code: As above.
        hint: One line that says what to do.
    """

    def __init__(self, message: str, *, exit_code: int = INVALID, hint: str | None = None) -> None:
        super().__init__(message, exit_code=exit_code, hint=hint)
