"""What a check or a prediction came to, line by line, and the grade that a grader reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Line:
    """One question and how it went.

    Attributes:
        right: Whether the check held, or the prediction was right.
        label: The question.
        said: What the engine found.
        guess: What the learner predicted; "" in a check.
        hint: What to do next; "" where all is well.
    """

    right: bool
    label: str
    said: str
    guess: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """All lines of a check, or of a prediction (which has a title)."""

    lines: Sequence[Line]
    title: str = ""

    @property
    def right(self) -> int:
        """How many lines are right."""
        return sum(line.right for line in self.lines)

    @property
    def share(self) -> float:
        """The part of the lines that is right, 0 to 1."""
        return self.right / len(self.lines) if self.lines else 0.0

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.title:
            return f"{self.right} of {len(self.lines)} as you predicted"
        return (
            "All is as it should be" if self.share == 1 else f"{self.right} of {len(self.lines)} are as they should be"
        )

    def plain(self) -> str:
        """The report as text."""
        lines = []
        for line in self.lines:
            mark = "✓" if line.right else "✕"
            if line.guess:
                lines.append(f"{mark} {line.label}: you said {line.guess}; the engine says {line.said}")
            else:
                lines.append(f"{mark} {line.said}")
            if line.hint and not line.right:
                lines.append(f"    {line.hint}")
        return "\n".join([*lines, f"{self.summary}."])


class Grade(float):
    """Points as nbgrader reads them: a number whose text is nothing but the number.

    nbgrader takes an `execute_result` that reads as a float for partial credit, refuses one above
    the cell's points, and takes any other rich object for full marks.

    Args:
        report: What was checked.
        points: What all of it is worth.
    """

    points: float

    def __new__(cls, report: Report, points: float) -> Grade:
        """Clamp to 0 … `points`."""
        grade = super().__new__(cls, min(max(report.share * points, 0.0), points))
        grade.points = points
        return grade

    def __repr__(self) -> str:
        return f"{float(self):g}"

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(repr(self))}</b> of {self.points:g} points</p>"
