"""Commands that a service wants run in its containers at turns of their lives.

Source: compose-spec 05-services.md (post_start, pre_stop); docker/compose pkg/compose/hook.go.
"""

from __future__ import annotations

from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.model import Hook
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.state import Observed


def run_hook(session: Session, container: Observed, hook: Hook) -> None:
    """Run a hook's command in a container.

    Raises:
        ComposeError: it failed.
    """
    request = session.connection.request
    document = {
        "Cmd": hook.command or [],
        "User": hook.user,
        "Privileged": hook.privileged,
        "WorkingDir": hook.working_dir,
        "Env": [f"{key}={value or ''}" for key, value in hook.environment.items()],
        "AttachStdout": True,
        "AttachStderr": True,
    }
    try:
        identifier = request("POST", f"/containers/{container.id}/exec", document).json()["Id"]
        stream = session.connection.hijack(f"/exec/{identifier}/start", {"Detach": False, "Tty": False})
        for name, data in stream.frames():
            session.output.write(name, data)
        stream.close()
        code = int(request("GET", f"/exec/{identifier}/json").json()["ExitCode"] or 0)
    except EngineError as error:
        raise CommandError(f"{container.name}: {error.message}") from error
    if code:
        raise ComposeError(f"{container.name} hook exited with status code {code}", exit_code=1)
