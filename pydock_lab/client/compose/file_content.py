"""What is in a config or secret whose content stands in the file or the environment."""

from __future__ import annotations

from pydock_lab.client.compose.model import FileObject
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project


def inline_content(project: Project, kind: str, source: str, found: FileObject) -> bytes | None:
    """Return the content, or None for one that is a file of the host.

    Args:
        project: The project, for its environment.
        kind: `config` or `secret`.
        source: What the file calls it.
        found: The config or secret.

    Raises:
        ComposeError: its variable is not set.
    """
    if found.environment:
        value = project.environment.get(found.environment)
        if value is None:
            raise ComposeError(
                f'environment variable "{found.environment}" required by {kind} "{source}" is not set', exit_code=1
            )
        return value.encode()
    return found.content.encode() if found.content else None
