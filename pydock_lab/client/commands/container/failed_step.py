"""`run --from-failed-step`: the state just before the step in which the last build failed."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session

FLAG = "from-failed-step"
_DEFAULT_SHELL = ("/bin/sh", "-c")


def resolved(arguments: Arguments, session: Session) -> Arguments:
    """Put the image, the shell and the build's ARGs into a `run` that was called with the flag.

    Without a COMMAND it becomes a shell, with a terminal where there is one; the image's own
    entrypoint is left out, since a RUN step does not have it either.

    Raises:
        CommandError: no build has failed in a step, or its image has been removed.
    """
    failure = _last_failure(session)
    image, step, command = failure["before"], failure["step"], arguments.positional
    if not image:
        raise CommandError(
            f"step {step} was the first of its stage: there is no state before it",
            hint=f"`docker run {failure['after'][7:19]}` is the state it failed in" if failure["after"] else None,
        )
    given = dict(arguments.given)
    given["env"] = (*(f"{key}={value}" for key, value in failure["arguments"].items()), *given.get("env", ()))
    if command:
        given.setdefault("entrypoint", ("",))
    else:
        shell = session.inspect("images", image)["Config"].get("Shell") or _DEFAULT_SHELL
        given.setdefault("entrypoint", (shell[0],))
        if not {"interactive", "tty", "detach", "attach"} & set(given) and session.output.terminal() is not None:
            given |= {"interactive": ("true",), "tty": ("true",)}
    session.say(
        f"The state before step {step} (line {failure['line']}), which failed with status {failure['exit_code']}:\n"
        f"  {failure['command']}",
        "stderr",
    )
    return dataclasses.replace(arguments, positional=(image, *command), given=given)


def _last_failure(session: Session) -> dict[str, Any]:
    for build in session.connection.lab("builds"):
        if build["state"] == "failed":
            failure: dict[str, Any] | None = session.connection.lab(f"builds/{build['id']}")["failure"]
            if failure:
                return {"arguments": {}, **failure}
    raise CommandError(
        "no build has failed in a RUN step",
        hint="a build whose RUN ends with a status other than 0 leaves the state before it for --from-failed-step",
    )
