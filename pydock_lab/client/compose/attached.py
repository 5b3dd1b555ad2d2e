"""`up` in the foreground: what the containers write, and how they end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Sequence

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.follow import Follower, Lines
from pydock_lab.client.compose.state import Observed


class Attached:
    """Follows the containers of some services.

    Args:
        session: The session.
        services: Whose output is shown.
        since: Seconds since the epoch: what was written before is not shown.

    Attributes:
        prefix: Write the container's name before each line.
        colour: Colour it.
        timestamps: Show when each line was written.
        lasting: Go on when all have ended: others may come (`up --watch`).
    """

    def __init__(self, session: Session, services: Collection[str], *, since: float) -> None:
        self.prefix = True
        self.colour = False
        self.timestamps = False
        self.lasting = False
        self._session = session
        self._services = services
        self._since = since
        self._lines: Lines | None = None
        self._followers: dict[str, Follower] = {}
        self._known: set[str] = set()
        self._left: set[str] = set()
        self._ends: queue.Queue[tuple[Observed, int]] = queue.Queue()

    def until_end(
        self, containers: Sequence[Observed], *, abort: bool, on_failure: bool = False, code_from: str = ""
    ) -> int:
        """Show output until all have ended, or with `abort` until one has.

        Args:
            containers: Those that were started.
            abort: The first end is the end.
            on_failure: The first end with another exit status than 0 is the end.
            code_from: The service whose exit status counts; its end is the end.

        Returns:
            The exit status.
        """
        shown = [one for one in containers if one.service in self._services]
        self._lines = Lines(self._session, [one.short_name for one in shown], prefix=self.prefix, colour=self.colour)
        self._session.say("Attaching to " + ", ".join(sorted(one.short_name for one in shown)))
        self._left = {one.id for one in containers}
        for container in containers:
            self._begin(container)
        code = 0
        while self._left or self.lasting:
            container, status = self._next()
            self._left.discard(container.id)
            if follower := self._followers.get(container.id):
                follower.join(timeout=2)
            self._lines.say(f"{container.short_name} exited with code {status}")
            if code_from == container.service or (abort and not code_from) or (on_failure and status):
                return status
        return code

    def adopt(self, containers: Sequence[Observed]) -> None:
        """Take in containers that were made meanwhile; those known already are left alone."""
        for container in containers:
            if container.id not in self._known and self._lines is not None:
                self._left.add(container.id)
                self._lines.add(container.short_name)
                self._begin(container)

    def close(self) -> None:
        """Show what is left and stop."""
        for follower in self._followers.values():
            follower.join(timeout=2)
            follower.close()

    def _begin(self, container: Observed) -> None:
        self._known.add(container.id)
        if container.service in self._services:
            self._follow(container)
        threading.Thread(target=self._watch, args=(container,), daemon=True).start()

    def _next(self) -> tuple[Observed, int]:
        while True:
            try:
                # With a time limit: without one, Ctrl-C is not heard on some systems.
                return self._ends.get(timeout=1)
            except queue.Empty:
                continue

    def _follow(self, container: Observed) -> None:
        assert self._lines is not None
        document = self._session.inspect("containers", container.id)
        query = {"follow": 1, "since": f"{self._since:.9f}", "timestamps": self.timestamps}
        follower = Follower(self._session, container, self._lines, query, tty=document["Config"]["Tty"])
        self._followers[container.id] = follower
        follower.start()

    def _watch(self, container: Observed) -> None:
        try:
            with self._session.connection.request("POST", f"/containers/{container.id}/wait", stream=True) as response:
                self._ends.put((container, int(response.json()["StatusCode"])))
        except (CommandError, OSError, ValueError, KeyError):
            self._ends.put((container, 1))
