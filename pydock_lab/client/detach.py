"""The keys that leave a container without ending it. Source: docker/cli, github.com/moby/term proxy.go."""

from __future__ import annotations


class DetachKeys:
    """Finds the detach sequence in what is typed, also when it comes in pieces.

    Args:
        sequence: b"" never matches.
    """

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._held = b""

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what may be passed on, and whether the sequence is complete."""
        if not self._sequence:
            return typed, False
        data = self._held + typed
        if (at := data.find(self._sequence)) >= 0:
            return data[:at], True
        # Hold back an end that may be the sequence's beginning.
        for length in range(min(len(self._sequence) - 1, len(data)), 0, -1):
            if data.endswith(self._sequence[:length]):
                self._held = data[-length:]
                return data[:-length], False
        self._held = b""
        return data, False
