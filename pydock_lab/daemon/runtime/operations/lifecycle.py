"""What the OCI lifecycle adds to a launch: hooks, and the wait between `create` and `start`.

Source: OCI runtime-spec runtime.md ("Lifecycle") and config.md ("POSIX-platform Hooks").
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.runtime.channel import receive_message, send_message
from pydock_lab.daemon.runtime.operations.base import CannotStart, Context, Findings, Operation
from pydock_lab.daemon.runtime.operations.identity import Execute

Hook = dict[str, Any]


@dataclass
class AwaitHooks(Operation):
    """Let the runtime command run its hooks: they set up a network from outside."""

    names: list[str]
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Wait for the {' and '.join(self.names)} hooks, which run outside"

    def execute(self, context: Context) -> Findings:
        """Tell the parent that the namespaces are there, and wait for its answer."""
        send_message(context.report, {"hooks": self.names})
        message, _ = receive_message(context.report)
        if message is None or message.get("error"):
            raise CannotStart(str((message or {}).get("error") or "the runtime is gone"))
        return None


@dataclass
class RunHooks(Operation):
    """Run hooks in the container's namespaces."""

    name: str
    hooks: list[Hook]
    state: dict[str, Any]
    where = "host"

    def describe(self) -> str:
        """Say which."""
        return f"Run the {self.name} hooks {', '.join(hook['path'] for hook in self.hooks)}"

    def execute(self, context: Context) -> Findings:
        """One after the other, each with the container's state on its stdin."""
        run_hooks(self.name, self.hooks, self.state)
        return None


def run_hooks(name: str, hooks: Sequence[Hook], state: dict[str, Any]) -> None:
    """Run hooks in this process's namespaces.

    By fork and exec alone: nothing may be imported any more where the container's files are seen.

    Raises:
        CannotStart: one ended with another status than 0.
    """
    for number, hook in enumerate(hooks):
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(int(hook.get("timeout") or 0))
                os.dup2(reading, 0)
                environment = dict(entry.partition("=")[::2] for entry in hook.get("env") or ())
                os.execve(hook["path"], hook.get("args") or [hook["path"]], environment)
            finally:
                os._exit(127)
        os.close(reading)
        try:
            os.write(writing, json.dumps(state).encode())
        except BrokenPipeError:
            pass  # a hook need not read
        finally:
            os.close(writing)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise CannotStart(f"error running hook #{number}: error running {name} hook {hook['path']}: status {code}")


@dataclass
class ExecuteWhenStarted(Execute):
    """Wait for `start`, then become the program."""

    fifo: int = -1
    hooks: list[Hook] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Say which."""
        return f"Wait for start, then execute {' '.join(self.args)}"

    def execute(self, context: Context) -> Findings:
        """`start` writes into the fifo, which `create` has opened: the user may not be allowed to."""
        # `create` is done with us; what comes now nobody reads.
        context.report.close()
        if context.outside:
            context.outside.close()
        os.read(self.fifo, 1)
        os.close(self.fifo)
        run_hooks("startContainer", self.hooks, self.state)
        return super().execute(context)
