"""What goes wrong at a launch, in Docker's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydock_lab.daemon.runtime.request import StepRecord
from pydock_lab.errors import SystemFailure


class LaunchError(SystemFailure):
    """A process could not be started.

    Attributes:
        status: 400 where the image or the request is at fault, 500 otherwise.
        exit_code: What the container's state and `docker run` show: 127 not found, 126 not
            executable, 128 otherwise (`docker run` itself exits with 125 then).
        steps: The plan as far as it came.
    """

    def __init__(self, message: str, *, exit_code: int, status: int, steps: list[StepRecord]) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.status = status  # type: ignore[misc]
        self.steps = steps


class KeeperRefusal(SystemFailure):
    """The keeper answered with an error; `failure` is what it said."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(str(failure.get("message", "")))
        self.failure = failure


def launch_error(failure: Mapping[str, Any], what_failed: str) -> LaunchError:
    """Word a failed launch as Docker does."""
    kind, message = failure.get("kind"), str(failure["message"])
    steps = [StepRecord(**step) for step in failure.get("steps") or ()]
    if kind == "user":
        return LaunchError(message, exit_code=128, status=400, steps=steps)
    code = {"not_found": 127, "not_executable": 126}.get(str(kind), 128)
    process = "unable to start container process: " if kind != "config" else ""
    if kind not in ("not_found", "not_executable", "setup", "config") and "create" in what_failed:
        process += "error during container init: "
    prefix = "failed to create task for container: failed to create shim task: " if "create" in what_failed else ""
    text = f"{prefix}OCI runtime {what_failed}: {process}{message}: unknown"
    return LaunchError(text, exit_code=code, status=500 if code == 128 else 400, steps=steps)
