"""How a command ends when it does not end well: what it says and its exit status."""

from __future__ import annotations

from pydock_lab.errors import LabError


class CommandError(LabError):
    """A command failed; the text is what Docker's CLI prints on stderr.

    Args:
        message: Docker's own words, several lines where Docker prints several; no newline at the end.
        exit_code: The exit status of the docker CLI in this case.
        hint: One line that tells the learner what to do next, or None.
    """

    def __init__(self, message: str, *, exit_code: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class EngineError(CommandError):
    """The engine answered a request with an error.

    Args:
        status_code: The HTTP status: 404 no such object, 409 conflict, …
        explanation: The engine's own words, which Docker's CLI puts behind "Error response from daemon".
        hint: What our own engine put beside them.
    """

    def __init__(self, status_code: int, explanation: str, *, hint: str | None = None) -> None:
        super().__init__(f"Error response from daemon: {explanation}", hint=hint)
        self.status_code = status_code
        self.explanation = explanation


class UsageError(CommandError):
    """The command line itself is wrong: no such command or flag, or too few arguments."""


class Interrupted(CommandError):
    """The user stopped the command, and what it ran has ended.

    Args:
        hint: What to know about how it ended, or None.
    """

    def __init__(self, *, hint: str | None = None) -> None:
        super().__init__("interrupted", exit_code=130, hint=hint)


class HelpRequested(Exception):
    """Not a failure: what was asked for is a help page.

    Args:
        page: The page, in Docker's layout, without a newline at the end.
    """

    def __init__(self, page: str) -> None:
        super().__init__(page)
        self.page = page
