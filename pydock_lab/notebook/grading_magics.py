"""`%%predict`, `%%reveal` and `%check`: the learner's answers and work, judged by the engine's state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.notebook.failure import CommandFailed
from pydock_lab.notebook.steady import Steady

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection
    from pydock_lab.client.grading.prediction import Prediction
    from pydock_lab.client.grading.report import Grade

_COMMIT = "Your prediction is noted. Go on: the engine will say what is."


@dataclass
class Desk:
    """The predictions of one notebook that wait for their answer.

    Attributes:
        split: Makes words of a line, with the notebook's variables.
    """

    split: Callable[[str], list[str]]
    predictions: dict[str, Prediction] = field(default_factory=dict)

    def predict(self, line: str, cell: str) -> None:
        """Take answers: `%%predict NAME`, then `question: answer` on each line."""
        from pydock_lab.client.grading.prediction import Prediction

        name = _name(line, "predict")
        self.predictions[name] = Prediction.of(name, cell.splitlines())
        sys.stdout.write(f"{_COMMIT}\n")

    def reveal(self, line: str, cell: str, connection: Connection, steady: Steady) -> None:
        """Score them: `%%reveal NAME`, then `question: how to find out` on each line."""
        from pydock_lab.notebook.views.grading import show

        name = _name(line, "reveal")
        if name not in self.predictions:
            raise CommandError(
                f"nothing was predicted under the name {name}", hint="run the cell with `%%predict` first"
            )
        show(self.predictions[name].score(cell.splitlines(), connection, self.split), steady)

    def check(self, line: str, cell: str | None, connection: Connection, steady: Steady) -> Grade | None:
        """Check work: `%check QUESTION`, or `%%check [--points N]` with a question on each line.

        Returns:
            The grade, where points are given; else nothing.

        Raises:
            CommandFailed: something does not hold and no points are given, or nothing holds at all.
        """
        from pydock_lab.client.grading.check import check
        from pydock_lab.client.grading.report import Grade
        from pydock_lab.notebook.views.grading import show

        points = None if cell is None else _points(self.split(line))
        report = check([line] if cell is None else cell.splitlines(), connection, split=self.split)
        show(report, steady)
        if report.share < 1 and (points is None or not report.right):
            raise CommandFailed(report.summary, hint="each ✕ above says what is, and what to do")
        return None if points is None else Grade(report, points)


def _name(line: str, magic: str) -> str:
    name = line.strip()
    if not name or len(name.split()) > 1:
        raise UsageError(f"%%{magic} takes a name: `%%{magic} layers`")
    return name


def _points(words: list[str]) -> float | None:
    if not words:
        return None
    try:
        flag, value = words
        points = float(value)
    except ValueError:
        points = -1
    if points < 0 or flag != "--points":
        raise UsageError("%%check takes nothing but `--points N`; write the questions below it")
    return points
