"""A command's result as an object of the notebook: fields, rows, and a table to look at.

Where the user has said what to print (`--format`, `--quiet`), just that is shown, as on a terminal; the rows are there.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pydock_lab.client.commands.session import Result
from pydock_lab.notebook.html import Bundle, Markup, frame, tag, with_code
from pydock_lab.notebook.steady import Steady

_LONG_ID = re.compile(r"^(?:sha256:)?([0-9a-f]{64})$")
_NUMERIC = frozenset({"SIZE", "SHARED SIZE", "UNIQUE SIZE", "CPU %", "MEM %", "PIDS", "LINKS", "COUNT"})


@dataclasses.dataclass
class Shown(Result):
    """What a magic returns.

    `list(result)` gives records and `pandas.DataFrame(result)` a frame of them: a table's rows, what inspect
    answered, or one record of a container that was run. `bool(result)` is whether the exit status was 0,
    and `str(result)` what the docker CLI would have printed: `$web` in a later magic is the id that
    `web = %container run -d …` came to.

    Attributes:
        output: What the command wrote to stdout while it ran.
    """

    output: str = ""
    steady: Steady = dataclasses.field(default_factory=Steady, repr=False)
    displayed: bool = dataclasses.field(default=False, repr=False)

    @classmethod
    def of(cls, result: Result, steady: Steady, *, output: str = "") -> Shown:
        """Take over a command's result and what it wrote while it ran."""
        fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(Result)}
        return cls(**fields, output=output, steady=steady)

    @property
    def records(self) -> Sequence[dict[str, Any]]:
        """What the result is a sequence of."""
        if self.columns or not (self.documents or self.container_id):
            return self.rows
        run = {"CONTAINER ID": self.container_id[:12], "EXIT CODE": self.exit_code, "OUTPUT": self.output.strip()}
        return self.documents or [run]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        return self.records[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __str__(self) -> str:
        printed = (self.output + self.text).strip()
        return printed or self.image_id or self.container_id or " ".join(self.names)

    def __repr__(self) -> str:
        printed = (self.output + self._laid_out()).strip() if self.text else ""
        return self.steady.text(printed or str(self)) or f"<exit status {self.exit_code}>"

    def _ipython_display_(self) -> None:
        """Show the table or text once; a magic on a line of its own has been shown already."""
        if self.displayed:
            self.displayed = False
            return
        self.show()

    def show(self) -> None:
        """Display what the command has to show, if anything."""
        from IPython.display import display

        if self.columns and not self.as_text:
            display(self.bundle(), raw=True)
        elif self.text:
            sys.stdout.write(f"{self.steady.text(self._laid_out())}\n")
        if self.exit_code:
            sys.stdout.write(f"(exit status {self.exit_code})\n")

    def bundle(self) -> Bundle:
        """The table as a mimebundle."""
        return self.steady.bundle(self._laid_out(), str(self._html()))

    def _laid_out(self) -> str:
        """The text, in columns of the width of what is shown."""
        return self.layout(self.steady.data) if self.layout and self.steady else self.text

    def _html(self) -> Markup:
        head = tag("tr", *(tag("th", name, scope="col", class_=_class_of(name)) for name in self.columns))
        rows = self.steady.data(self.rows)
        body = [tag("tr", *(self._cell(row, name) for name in self.columns)) for row in rows]
        nothing = tag("tr", tag("td", "none", colspan=len(self.columns), class_="pd-soft"))
        table = tag("table", tag("thead", head), tag("tbody", *(body or [nothing])), class_="pd-table pd-lines")
        return frame(tag("div", table, class_="pd-scroll", tabindex=0, role="group", aria_label="Result"))

    def _cell(self, row: dict[str, str], name: str) -> Markup:
        value = row.get(name, "")
        content: str = value
        if match := _LONG_ID.match(value):
            content = tag("code", match[1][:12], title=value)
        elif name in ("COMMAND", "CREATED BY", "MOUNTS") or "ID" in name.split():
            content = tag("code", value)
        elif name == "STATUS":
            content = join_state(value)
        return tag("td", content, class_=_class_of(name))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Result) if field.name != "layout"}


def show_notes(notes: list[str], steady: Steady) -> None:
    """Display what surprises learners about a command that worked, a line each."""
    from IPython.display import display

    plain = "\n".join(f"Note: {note}" for note in notes)
    lines = [tag("p", tag("b", "Note "), *with_code(note)) for note in notes]
    html = frame(tag("div", *lines, class_="pd-aside"), label="Notes")
    display(steady.bundle(plain, str(html)), raw=True)


def join_state(status: str) -> Markup:
    """A container's status with a mark in front, so that colour is never alone."""
    running = status.startswith("Up")
    mark = tag("span", "● " if running else "○ ", class_="pd-A" if running else "pd-soft", aria_hidden="true")
    return Markup(mark + tag("span", status))


def _class_of(column: str) -> str | None:
    return "pd-num" if column in _NUMERIC else None
