"""What the engine answers to one question about its state; the word that checks and predictions share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """An answer.

    Attributes:
        holds: Whether it is so.
        said: What is, as a sentence without a full stop: `web has exited with status 137`.
        hint: What to do about it where it should hold, or "".
        value: What was read, where the question was "what?" and not "whether?"; else "".
    """

    holds: bool
    said: str
    hint: str = ""
    value: str = ""

    @property
    def answer(self) -> str:
        """The value, or yes or no."""
        return self.value or ("yes" if self.holds else "no")
