"""Predict, then run: the learner commits to an answer, and the engine says what really is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.client.grading.check import Split, questions
from pydock_lab.client.grading.finding import Finding
from pydock_lab.client.grading.question import NO, YES, ask
from pydock_lab.client.grading.report import Line, Report

_OPEN = frozenset({"", "?", "…", "..."})


@dataclass(frozen=True)
class Prediction:
    """What a learner has committed to.

    Attributes:
        name: Which prediction of the lesson.
        guesses: The answer to each question; all are answered.
    """

    name: str
    guesses: Mapping[str, str]

    @classmethod
    def of(cls, name: str, lines: Iterable[str]) -> Prediction:
        """Read `question: answer` on each line.

        Raises:
            UsageError: a line has no colon, or there is no line.
            CommandError: an answer is still open.
        """
        guesses: dict[str, str] = {}
        for text in questions(lines):
            label, colon, guess = text.partition(" # ")[0].rpartition(":")
            if not colon:
                raise UsageError(f"write a question, a colon and your answer: “{text}”")
            guesses[label.strip()] = guess.strip()
        if not guesses:
            raise UsageError("there is nothing to predict: write `question: answer` on each line")
        if still := [label for label, guess in guesses.items() if guess in _OPEN]:
            raise CommandError(
                f"no answer yet: {', '.join(still)}",
                hint="write your answer behind the colon; a wrong one costs nothing",
            )
        return cls(name, guesses)

    def score(self, lines: Iterable[str], connection: Connection, split: Split) -> Report:
        """Find out what really is and compare.

        Args:
            lines: `question: how to find out` for each question, in any order.
            connection: To the engine.
            split: Makes words of what stands behind the colon.

        Raises:
            UsageError: the questions are not those of the prediction.
            CommandError: the engine could not find one of them out.
        """
        probes = dict(self._probe(text) for text in questions(lines))
        if missing := [label for label in self.guesses if label not in probes]:
            raise UsageError(f"nothing says how to find out: {', '.join(missing)}")
        scored = [_scored(label, guess, ask(split(probes[label]), connection)) for label, guess in self.guesses.items()]
        return Report(scored, title=self.name)

    def _probe(self, text: str) -> tuple[str, str]:
        for label in sorted(self.guesses, key=len, reverse=True):
            if text.startswith(f"{label}:"):
                return label, text[len(label) + 1 :].strip()
        raise UsageError(f"no such question was predicted: “{text}”")


def _scored(label: str, guess: str, found: Finding) -> Line:
    whether = guess.casefold() in YES | NO
    truth = ("yes" if found.holds else "no") if whether else found.answer
    return Line(_same(guess, truth), label, truth, guess=guess)


def _same(guess: str, truth: str) -> bool:
    """Whether two answers are the same: numbers by value, yes and no in any spelling, text but for its case."""
    one, other = guess.casefold(), truth.casefold()
    for words in (YES, NO):
        if other in words:
            return one in words
    try:
        return float(one) == float(other)
    except ValueError:
        return one.split() == other.split()
