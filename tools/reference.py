"""`python -m tools.reference`: write docs/reference.md, every command with its flags, from the grammar."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydock_lab.client.commands.grammar import Command, Grammar, load
from pydock_lab.client.lab import COMMANDS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
_HEAD = """# Reference

Every command of the grammar, as `docker …` on the kernel's PATH, `pydock …` on a
terminal and `%NOUN …` or `%docker …` in a notebook take it. Written by
`python -m tools.reference`; change the grammar, not this page.
"""


def page(grammar: Grammar) -> str:
    """The whole page."""
    nouns: dict[str, list[Command]] = {}
    for command in grammar.commands:
        nouns.setdefault(command.path[0] if len(command.path) > 1 else "", []).append(command)
    parts = [_HEAD]
    for noun, summary in sorted(grammar.nouns.items()):
        parts.append(f"## {noun}\n\n{summary}.\n")
        parts += [_section(command) for command in nouns.get(noun, ())]
    parts.append("## Without a noun\n")
    parts += [_section(command) for command in nouns.get("", ())]
    parts.append("## pydock only\n\n" + "\n".join(_lab_rows()) + "\n")
    return "\n".join(parts)


def _section(command: Command) -> str:
    line = f"{' '.join(command.path)} {command.usage}".strip()
    lines = [f"### {' '.join(command.path)}", "", f"{command.summary.rstrip('.')}.", "", f"    docker {line}", ""]
    if command.aliases:
        lines += ["Also: " + ", ".join(f"`docker {' '.join(alias)}`" for alias in command.aliases), ""]
    if command.flags:
        lines += ["| flag | value | default | |", "|---|---|---|---|"]
        for flag in command.flags:
            value = flag.kind if flag.takes_value else ""
            row = (f"`{flag.display}`", value, f"`{flag.default}`" if flag.default else "", flag.help)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        lines.append("")
    return "\n".join(lines)


def _lab_rows() -> Iterator[str]:
    yield from ("| command | |", "|---|---|")
    for name, command in sorted(COMMANDS.items()):
        if not name.startswith("_"):
            usage = f"pydock {name} {command.usage}".strip().replace("|", "\\|")
            yield f"| `{usage}` | {command.summary} |"


def main() -> int:
    """Write the page."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page(load()), "utf-8")
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
