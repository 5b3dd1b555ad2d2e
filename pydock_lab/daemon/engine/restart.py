"""When a container that ended is started again: Docker's restart policies and their back-off.

Source: moby restartmanager/restartmanager.go.
"""

from __future__ import annotations

from typing import Any

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 60.0
_STEADY_S = 10.0


class RestartPolicy:
    """The policy of one container and how long it waits the next time."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.name: str = policy.get("Name") or "no"
        self.max_retries: int = policy.get("MaximumRetryCount") or 0
        self._delay_s = 0.0

    def delay_after(self, exit_code: int, ran_s: float, restarts: int, *, stopped_by_hand: bool) -> float | None:
        """Return the seconds to wait before the next start, or None to leave it ended.

        Args:
            exit_code: Of the run that ended.
            ran_s: How long it ran; more than 10 s starts the back-off anew.
            restarts: How often it has been restarted since the user started it.
            stopped_by_hand: The user or the daemon's end stopped it.
        """
        if stopped_by_hand or not self._wants(exit_code, restarts):
            return None
        self._delay_s = _FIRST_DELAY_S if ran_s >= _STEADY_S or not self._delay_s else self._delay_s * 2
        self._delay_s = min(self._delay_s, _MAX_DELAY_S)
        return self._delay_s

    def starts_with_daemon(self, exit_code: int, restarts: int, *, stopped_by_hand: bool) -> bool:
        """Return whether a new daemon starts the container that an earlier one left.

        Only `unless-stopped` asks who stopped it; with `on-failure` the status decides, also of one that a user killed.
        """
        return self._wants(exit_code, restarts) and not (self.name == "unless-stopped" and stopped_by_hand)

    def _wants(self, exit_code: int, restarts: int) -> bool:
        if self.name in ("always", "unless-stopped"):
            return True
        retries_left = self.max_retries == 0 or restarts < self.max_retries
        return self.name == "on-failure" and exit_code != 0 and retries_left
