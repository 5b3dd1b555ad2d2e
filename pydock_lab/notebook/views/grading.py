"""How a check and a scored prediction look: a line for each question, its mark never by colour alone."""

from __future__ import annotations

from pydock_lab.client.grading.report import Line, Report
from pydock_lab.notebook.html import Bundle, Markup, frame, tag
from pydock_lab.notebook.steady import Steady


def show(report: Report, steady: Steady) -> None:
    """Display a report."""
    from IPython.display import display

    display(bundle(report, steady), raw=True)


def bundle(report: Report, steady: Steady) -> Bundle:
    """A report as a mimebundle."""
    return steady.bundle(report.plain(), str(html(report)))


def html(report: Report) -> Markup:
    """The report as a table: of a prediction with what was guessed and what is, of a check with what is."""
    predicted = bool(report.title)
    names = ("", "Question", "You said", "The engine says") if predicted else ()
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names))) if names else None
    rows = [_prediction(line) if predicted else _check(line) for line in report.lines]
    table = tag("table", head, tag("tbody", *rows), class_="pd-table")
    verdict = tag("p", tag("b", f"{report.summary}."), class_="pd-note")
    return frame(table, verdict, label="Your prediction" if predicted else "Check")


def _mark(line: Line) -> Markup:
    word, sign, colour = ("right", "✓", "pd-A") if line.right else ("wrong", "✕", "pd-D")
    return tag("td", tag("b", sign, class_=colour, role="img", aria_label=word))


def _prediction(line: Line) -> Markup:
    said = tag("td", tag("b", line.said))
    return tag("tr", _mark(line), tag("th", line.label, scope="row"), tag("td", line.guess), said)


def _check(line: Line) -> Markup:
    hint = tag("div", line.hint, class_="pd-soft") if line.hint and not line.right else None
    return tag("tr", _mark(line), tag("td", line.said, hint))
