"""What a learner reads when a command fails: Docker's message and one hint; and the cell fails."""

from __future__ import annotations

import re

from pydock_lab.errors import LabError

_WIDTH = 88
_CODE = re.compile(r"`[^`]*`")
_KEPT = "\0"


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
        return [*lines, *_wrapped(f"Hint: {self.hint}")] if self.hint else lines


def _wrapped(hint: str) -> list[str]:
    """Break a hint between words: JupyterLab would break it in the middle of one."""
    import textwrap

    together = _CODE.sub(lambda code: code[0].replace(" ", _KEPT), hint)  # a command is to be copied in one piece
    lines = textwrap.wrap(together, _WIDTH, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(_KEPT, " ") for line in lines]
