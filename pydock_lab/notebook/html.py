"""HTML for outputs: one builder that escapes, one frame that brings its own style sheet.

Everything is semantic first (tables, lists, `details`), because GitHub and an
untrusted notebook strip style sheets; no script, no link to anywhere.
"""

from __future__ import annotations

import functools
from html import escape
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

Bundle = dict[str, Any]
"""An output in several forms, by MIME type."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attributes: str | int | None) -> Markup:
    """Build an element.

    Args:
        name: `td`.
        children: Markup goes in as it is, other text escaped, None not at all.
        attributes: `class_`, `aria_label`: a trailing `_` is dropped, others become `-`; None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str | None) -> Markup:
    """Put pieces one after the other, escaping those that are no Markup."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children if child is not None)
    )


def frame(*children: str | None, label: str | None = None, sheet: str = "") -> Markup:
    """Wrap an output: the style sheet and a box of class `pd` around the children.

    Args:
        children: As for `tag`.
        label: What a screen reader calls the box.
        sheet: A further style sheet beside this module: `widgets/picture.css`.
    """
    style = Markup(f"<style>{style_sheet('theme.css')}{style_sheet(sheet) if sheet else ''}</style>")
    kind = "pd mathjax_ignore"  # JupyterLab sets $…$ as a formula, and a shell's $NAME $OTHER is none
    return join(style, tag("div", *children, class_=kind, role="group" if label else None, aria_label=label))


def scroll(child: Markup, label: str) -> Markup:
    """Let something wide scroll sideways by itself, also by keyboard."""
    return tag("div", child, class_="pd-scroll", tabindex=0, role="group", aria_label=label)


def stacking(table: Markup) -> Markup:
    """Let a table of class `pd-stacked` put its cells of class `pd-prose` below their rows where there is no room."""
    return tag("div", table, class_="pd-stacking")


def with_code(text: str) -> list[str]:
    """Split a line at its backticks; what is between two of them is code."""
    return [tag("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))]


def bar(share: float) -> Markup:
    """A horizontal bar, `share` of its width filled (0 to 1); decoration beside a number."""
    return tag(
        "span", tag("span", style=f"width:{100 * min(max(share, 0), 1):.1f}%"), class_="pd-bar", aria_hidden="true"
    )


@functools.cache
def style_sheet(name: str) -> str:
    """A style sheet without comments and line breaks: it is repeated in every output."""
    import re

    text = re.sub(r"/\*.*?\*/", "", (_HERE / name).read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()
