"""`%lab source FILE:NAME`: the lines of this package that do what a lesson has shown.

The engine's files are read, never imported: the learner's wing does not know the engine's.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pydock_lab
from pydock_lab.errors import NotFound
from pydock_lab.notebook.html import Markup, scroll, tag
from pydock_lab.notebook.views.picture import Picture

ROOT = Path(pydock_lab.__file__).parent

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Excerpt:
    """A function, class or method as it stands in its file.

    Attributes:
        file: Below the package: `daemon/linux/syscalls.py`.
        name: `pivot_root`, `MountOverlay.execute`.
        first: Number of its first line, 1-based; its decorators belong to it.
        text: Its lines.
        docstring: The first line of its docstring, or "".
    """

    file: str
    name: str
    first: int
    text: str
    docstring: str


def find(where: str) -> Excerpt:
    """Read the definition at `daemon/linux/syscalls.py:pivot_root`.

    Raises:
        NotFound: there is no such file in the package, or nothing of this name in it.
    """
    file, _, name = where.partition(":")
    path = (ROOT / file).resolve()
    if not path.is_file() or ROOT not in path.parents:
        raise NotFound(f"there is no file {file} in pydock_lab", hint="write it as daemon/linux/syscalls.py:pivot_root")
    text = path.read_text("utf-8")
    node = definition(ast.parse(text), name)
    if node is None:
        raise NotFound(f"nothing in {file} is called {name or '(no name given)'}")
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return Excerpt(file, name, first, "\n".join(lines), (ast.get_docstring(node) or "").partition("\n")[0])


def definition(tree: ast.Module | Definition, name: str) -> Definition | None:
    """Return the definition of a dotted name, or None."""
    head, _, rest = name.partition(".")
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == head:
            return definition(node, rest) if rest else node
    return None


def draw(excerpt: Excerpt) -> Picture:
    """Draw the lines with their numbers; as text only what they are: the lines change, and outputs are compared."""
    title = f"{excerpt.name} in pydock_lab/{excerpt.file}"
    numbers = "\n".join(str(excerpt.first + at) for at in range(excerpt.text.count("\n") + 1))
    code = tag(
        "div",
        tag("pre", numbers, class_="pd-lines-numbers", aria_hidden="true"),
        tag("pre", _coloured(excerpt.text)),
        class_="pd-source",
    )
    heading = tag("p", tag("b", excerpt.name), f" in pydock_lab/{excerpt.file}, line {excerpt.first}", class_="pd-note")
    html = Markup(heading + scroll(code, "Source"))
    return Picture(title, f"{title}: {excerpt.docstring}".rstrip(": "), html)


def _coloured(text: str) -> Markup:
    """Mark comments, strings and keywords; a lexer is there wherever IPython is."""
    from pygments.lexers import PythonLexer
    from pygments.token import Comment, Keyword, String

    kinds = ((Comment, "pd-soft"), (String, "pd-A"), (Keyword, "pd-word"))
    pieces = []
    for kind, piece in PythonLexer(stripnl=False, ensurenl=False).get_tokens(text):
        class_ = next((name for one, name in kinds if kind in one), None)
        pieces.append(tag("span", piece, class_=class_) if class_ else tag("span", piece))
    return Markup("".join(pieces))
