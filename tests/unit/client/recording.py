"""An `Output` that remembers, for tests."""

from __future__ import annotations

from pydock_lab.client.commands.session import BuildEvent, Progress, Stream, Terminal


class Recording:
    """Everything a command said, by stream."""

    def __init__(self) -> None:
        self.streams: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self.transfers: list[Progress] = []
        self.steps: list[BuildEvent] = []

    def write(self, stream: Stream, data: str | bytes) -> None:
        self.streams[stream] += data.encode() if isinstance(data, str) else data

    def redraw(self, text: str) -> None:
        self.streams["stdout"] = f"{text}\n".encode()

    def progress(self, event: Progress) -> None:
        self.transfers.append(event)

    def build(self, event: BuildEvent) -> None:
        self.steps.append(event)

    def terminal(self) -> Terminal | None:
        return None
