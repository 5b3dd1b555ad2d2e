"""Docker's tables, and what `--format`, `--quiet` and `--no-trunc` make of them.

A command describes its rows as dictionaries of fields (`ID`, `Names`, …) in the
template's vocabulary; this turns them into a Result. Source: docker/cli
cli/command/formatter, Go text/tabwriter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Change, Result

_MIN_WIDTH = 10
_PADDING = 3

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """What a kind of table looks like.

    Attributes:
        headings: Every field that has a column heading: `{"ID": "CONTAINER ID"}`.
        fields: The columns shown by default.
        go_type: What Go calls a row; named when a template asks for a field it lacks.
        quiet: The field that `-q` shows alone.
        checked: A template is tried before there are rows (`ps`): a wrong one fails on an empty list too.
    """

    headings: Mapping[str, str]
    fields: tuple[str, ...]
    go_type: str
    quiet: str = "ID"
    checked: bool = False

    def result(self, rows: Sequence[Row], *, template: str = "", quiet: bool = False) -> Result:
        """Lay the rows out.

        Args:
            rows: Each with every field of `headings`, and others a template may name.
            template: `--format`: "", `table`, `table TEMPLATE`, `json` or a Go template.
            quiet: Show the `quiet` field alone, unless there is a template.

        Raises:
            CommandError: the template is wrong, in Go's words.
        """
        columns = tuple(self.headings[field] for field in self.fields)
        cells = [{self.headings[field]: _plain(row[field]) for field in self.fields} for row in rows]

        def layout(change: Change) -> str:
            return self._text(change(list(rows)), template, quiet)

        text, as_text = self._text(rows, template, quiet), quiet or template not in ("", "table")
        return Result(text=text, columns=columns, rows=cells, as_text=as_text, layout=layout)

    def _text(self, rows: Sequence[Row], template: str, quiet: bool) -> str:
        if quiet and template in ("", "table"):
            return "\n".join(_plain(row[self.quiet]) for row in rows)
        if template in ("", "table"):
            table = [[self.headings[field] for field in self.fields]]
            table += [[_plain(row[field]) for field in self.fields] for row in rows]
            return align(table)
        if template == "json":
            return "\n".join(_json_line(row) for row in rows)
        if self.checked:
            self._check(template)
        with_heading = template.startswith("table")
        source = template.removeprefix("table").strip() if with_heading else template
        source = source.replace(r"\t", "\t").replace(r"\n", "\n")
        lines = self._lines(source, rows)
        if not with_heading:
            return "\n".join(lines)
        heading = _heading(source, self.headings)
        return align([line.split("\t") for line in [heading, *lines]])

    def _lines(self, source: str, rows: Sequence[Row]) -> list[str]:
        from pydock_lab.client.commands.text.templates import Template, TemplateError

        try:
            template = Template(source, type_name=self.go_type)
        except TemplateError as error:
            raise CommandError(f"template parsing error: {error}", exit_code=64) from None
        try:
            return [template.render(row) for row in rows]
        except TemplateError as error:
            raise CommandError(f"template parsing error: {error}") from None

    def _check(self, source: str) -> None:
        """Try a template on a row whose fields are all there and empty."""
        from pydock_lab.client.commands.text.templates import Template, TemplateError

        try:
            template = Template(source, type_name=self.go_type)
        except TemplateError as error:
            raise CommandError(f"failed to parse template: {error}") from None
        row = dict.fromkeys((*self.headings, "Platform"), "") | {"Label": lambda name: ""}
        try:
            template.render(row)
        except TemplateError as error:
            raise CommandError(f"failed to execute template: {error}") from None


def align(table: Sequence[Sequence[str]], *, min_width: int = _MIN_WIDTH) -> str:
    """Line cells up as Go's tabwriter does with Docker's settings; the last of a line is not padded."""
    widths: dict[int, int] = {}
    for row in table:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, min_width), len(cell) + _PADDING)
    return "\n".join(
        "".join(f"{cell:<{widths[column]}}" for column, cell in enumerate(row[:-1])) + row[-1] for row in table
    )


def cells_result(
    columns: Sequence[str], cells: Sequence[Sequence[str]], lay: Callable[[Sequence[Sequence[str]]], str]
) -> Result:
    """A table of cells that is laid out in its own way.

    Args:
        columns: Headings.
        cells: A sequence for each row.
        lay: Makes the text of rows, the headings first.
    """
    rows = [dict(zip(columns, row, strict=False)) for row in cells]

    def layout(change: Change) -> str:
        return lay([columns, *(list(row.values()) for row in change(rows))])

    return Result(text=lay([columns, *cells]), columns=tuple(columns), rows=rows, layout=layout)


def inspect_result(documents: Sequence[Any], template: str) -> Result:
    """What `inspect` shows of documents.

    Raises:
        CommandError: the template is wrong, in Go's words.
    """
    import json

    from pydock_lab.client.commands.text.shapes import of_document
    from pydock_lab.client.commands.text.templates import Template, TemplateError, go_json

    def encode(found: Sequence[Any]) -> str:
        return json.dumps(found, indent=4, ensure_ascii=False) if template == "" else go_json(found)

    def render(found: Sequence[Any]) -> str:
        return "\n".join(compiled.render(of_document(document)) for document in found)

    def laid_out(lay: Callable[[list[Any]], str]) -> Result:
        all_of_them = list(documents)
        return Result(text=lay(all_of_them), documents=all_of_them, layout=lambda change: lay(change(all_of_them)))

    if template in ("", "json"):
        return laid_out(encode)
    try:
        compiled = Template(template.replace(r"\t", "\t").replace(r"\n", "\n"))
    except TemplateError as error:
        raise CommandError(f"template parsing error: {error}", exit_code=64) from None
    try:
        return laid_out(render)
    except TemplateError as error:
        raise CommandError(f"template parsing error: {error}") from None


def _heading(source: str, headings: Mapping[str, str]) -> str:
    """The heading line of `table TEMPLATE`: each action becomes the heading of the field it names."""

    def heading(match: re.Match[str]) -> str:
        field = re.search(r"\.(\w+)", match[0])
        if field is None:
            return ""
        if field[1] == "Label" and (label := re.search(r'"([^"]*)"', match[0])):
            return label[1].rpartition(".")[2].replace("-", " ").replace("_", " ")
        return headings.get(field[1], field[1].upper())

    return re.sub(r"\{\{.*?\}\}", heading, source)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts digits by their number: `b9` before `b10`. Source: fvbommel/sortorder."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def _json_line(row: Row) -> str:
    """A row as Go encodes it: keys in order, what HTML could take for markup escaped."""
    from pydock_lab.client.commands.text.templates import go_json

    line = go_json({key: row[key] for key in sorted(row) if not callable(row[key])})
    return line.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(value: Any) -> str:
    return str(value() if isinstance(value, Callable) else value)  # type: ignore[arg-type]
