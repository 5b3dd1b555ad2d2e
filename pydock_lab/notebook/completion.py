"""Tab in a cell: what may stand at the cursor of a magic, a Dockerfile or a Compose file.

The words come from the client (commands/completion.py); here is only where in
a cell they are wanted. An engine is asked where one runs; Tab never starts it.
Source: IPython.core.completer, Matchers API version 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

if TYPE_CHECKING:
    from pydock_lab.client.connection import Connection

_MAGIC = re.compile(r"^(?:\s*[\w, ]+=)?\s*(%{1,2}|!)(\w+)\s(.*)$", re.DOTALL)
_LAST_WORD = re.compile(r"\S*$")
_VARIABLE = re.compile(r"(?:\$\{?|\{)(\w*)$")  # IPython's own completion takes half a second to think of these
_OF_LAB = {"explain": "container", "instances": "image", "layers": "image", "storage": "container", "volume": "volume"}

Matcher = Callable[[CompletionContext], SimpleMatcherResult]


def make_matcher(
    nouns: tuple[str, ...], connection: Callable[[], Connection], variables: Callable[[], Iterable[str]]
) -> Matcher:
    """Make what IPython asks when Tab is pressed.

    Args:
        nouns: Magics that are nouns of docker.
        connection: Returns the notebook's.
        variables: Returns the names of the notebook's own.
    """

    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        found = candidates(context.full_text, context.cursor_line, context.cursor_position, nouns, connection)
        if found is None:
            return SimpleMatcherResult(completions=[], suppress=False)
        prefix, words = found
        if not words and (begun := _VARIABLE.search(prefix)):
            words = sorted(prefix + name[len(begun[1]) :] for name in variables() if name.startswith(begun[1]))
        if not words and "{" in prefix:  # a formula: Python knows what may stand in it
            return SimpleMatcherResult(completions=[], suppress=False)
        # Only an answer with a word in it keeps IPython from looking for Python's words, for most of a second; where
        # nothing fits, it is the word that stands there already.
        return SimpleMatcherResult(
            completions=[SimpleCompletion(word, type="docker") for word in words or [prefix]],
            suppress=True,
            matched_fragment=prefix,
            ordered=True,
        )

    decorated: Matcher = context_matcher(identifier="pydock_lab")(matcher)
    return decorated


def candidates(
    cell: str, line_number: int, column: int, nouns: tuple[str, ...], connection: Callable[[], Connection]
) -> tuple[str, list[str]] | None:
    """Return what stands before the cursor of the word there, and the words that may replace it.

    Args:
        cell: The cell's text.
        line_number: The cursor's line, from 0.
        column: The cursor's place in it.
        nouns: Magics that are nouns of docker.
        connection: Returns the notebook's.

    Returns:
        None where the cursor is in no command of ours.
    """
    lines = cell.split("\n")
    line = lines[line_number][:column]
    above = "\n".join([*lines[1:line_number], line])
    prefix = match[0] if (match := _LAST_WORD.search(line)) else ""
    if line_number and lines[0].startswith("%%dockerfile"):
        from pydock_lab.client.commands.completion.files import complete_dockerfile

        return prefix, complete_dockerfile(above, connection=connection())
    if line_number and lines[0].startswith("%%compose"):
        from pydock_lab.client.commands.completion.files import complete_compose

        return prefix.removeprefix("-"), complete_compose(above)
    found = _MAGIC.match(line)
    return None if found is None else _of_magic(found, prefix, nouns, connection)


def _of_magic(
    found: re.Match[str], prefix: str, nouns: tuple[str, ...], connection: Callable[[], Connection]
) -> tuple[str, list[str]] | None:
    from pydock_lab.client.commands.completion.words import EngineNames, complete

    mark, name, rest = found.groups()
    if name == "lab" and mark == "%":
        from pydock_lab.notebook.lab_commands import names

        before = rest.split()[: -1 if prefix else None]
        wanted = EngineNames(connection(), {}).of(_OF_LAB.get(before[0], "")) if before else names()
        return prefix, sorted({word for word in wanted if word.startswith(prefix)})
    if name == "registry" and mark == "%":
        from pydock_lab.client.registry import WORDS

        before = rest.split()[: -1 if prefix else None]
        return prefix, [word for word in WORDS.get(before[0] if before else "", ()) if word.startswith(prefix)]
    if name == "docker":
        line = rest
    elif name == "dockerfile" and mark == "%%":
        line = f"image build {rest}"
    elif name in nouns and mark != "!":
        line = f"{name} {rest}"
    else:
        return None
    return prefix, complete(line, connection=connection())
