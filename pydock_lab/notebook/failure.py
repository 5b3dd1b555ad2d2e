"""What a learner reads when a command fails: Docker's message and one hint; and the cell fails."""

from __future__ import annotations

from pydock_lab.errors import LabError


class CommandFailed(Exception):
    """A magic's command failed. IPython shows `_render_traceback_` in place of a traceback.

    Args:
        message: Docker's own words.
        hint: One line on what to do next, or None.
        exit_code: What the docker CLI would have returned to the shell.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    @classmethod
    def of(cls, error: LabError) -> CommandFailed:
        """Make one of an error that a command raised."""
        return cls(error.message, hint=error.hint, exit_code=getattr(error, "exit_code", 1))

    def _render_traceback_(self) -> list[str]:
        lines = self.message.splitlines() or [""]
        return [*lines, f"Hint: {self.hint}"] if self.hint else lines
