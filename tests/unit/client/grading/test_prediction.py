"""Predictions and grades, as far as they go without an engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.commands.failure import CommandError, UsageError
from pydock_lab.client.connection import Connection
from pydock_lab.client.grading.prediction import Prediction
from pydock_lab.client.grading.report import Grade, Line, Report

NOBODY = Connection("unix:///nowhere/docker.sock")


def score(cell: str, truth: str) -> Report:
    return Prediction.of("q", cell.splitlines()).score(truth.splitlines(), NOBODY, str.split)


@pytest.mark.parametrize(
    ("guess", "truth", "right"),
    [
        ("yes", "True", True),
        ("Y", "yes", True),
        ("no", "True", False),
        ("False", "no", True),
        ("4", "4", True),
        ("4.0", "4", True),
        ("4", "5", False),
        ("RUN", "run", True),
        ("maybe", "yes", False),
    ],
)
def test_an_answer_is_right_when_it_means_what_is(guess: str, truth: str, right: bool) -> None:
    report = score(f"what is it: {guess}", f"what is it: {truth}")
    assert [line.right for line in report.lines] == [right]
    assert report.lines[0].guess == guess


def test_a_question_may_have_colons_and_the_lines_any_order() -> None:
    report = score("# a remark\na port 80:80: yes\n\nb: 2  # really?\n", "b: 3\na port 80:80: yes")
    assert [line.right for line in report.lines] == [True, False]
    assert report.plain().splitlines()[1] == "✕ b: you said 2; the engine says 3"
    assert report.summary == "1 of 2 as you predicted"


def test_an_open_answer_is_asked_for() -> None:
    with pytest.raises(CommandError, match="no answer yet: a, c"):
        Prediction.of("q", ["a: ?", "b: yes", "c:"])


@pytest.mark.parametrize("cell", ["no colon here", "", "# only a remark"])
def test_what_is_no_prediction_is_refused(cell: str) -> None:
    with pytest.raises(UsageError):
        Prediction.of("q", cell.splitlines())


def test_the_truth_must_be_about_the_same_questions() -> None:
    with pytest.raises(UsageError, match="no such question was predicted"):
        score("a: yes", "b: yes")
    with pytest.raises(UsageError, match="nothing says how to find out: b"):
        score("a: yes\nb: yes", "a: yes")


def test_what_can_not_be_asked_lists_what_can() -> None:
    with pytest.raises(UsageError, match="container NAME runs"):
        score("a: yes", "a: is it raining")


@pytest.mark.parametrize("value", ["$count", "{sizes[0]}"])
def test_a_variable_that_is_not_there_is_no_answer(value: str) -> None:
    with pytest.raises(CommandError, match="not worked out yet"):
        score("a: yes", f"a: {value}")


@given(right=st.lists(st.booleans(), min_size=1), points=st.floats(0.5, 100))
def test_a_grade_lies_between_nothing_and_all_points_and_reads_as_a_number(right: list[bool], points: float) -> None:
    grade = Grade(Report([Line(each, "q", "a") for each in right]), points)
    assert 0 <= grade <= points
    assert float(repr(grade)) == pytest.approx(float(grade), rel=1e-5)
    assert all(right) == (grade == points)


def test_a_grade_of_half_the_lines() -> None:
    grade = Grade(Report([Line(True, "q", "a"), Line(False, "q", "a")]), 3)
    assert repr(grade) == "1.5"
    assert grade._repr_html_() == "<p><b>1.5</b> of 3 points</p>"
