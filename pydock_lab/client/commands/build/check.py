"""`build --check`: the build checks of a Dockerfile, told as BuildKit tells them. No engine is asked."""

from __future__ import annotations

from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.lint import Finding, check

_RULER = "-" * 20
_AROUND = 2


def checked(source: bytes, ignore: str | None, arguments: dict[str, str], name: str = "Dockerfile") -> tuple[str, int]:
    """Return what there is to say about a Dockerfile, and how many findings there are.

    Raises:
        DockerfileError: it does not parse.
    """
    found = check(source, None if ignore is None else Ignore.parse(ignore), arguments)
    if not found:
        return "Check complete, no warnings found.", 0
    told = "1 warning has" if len(found) == 1 else f"{len(found)} warnings have"
    lines = source.decode(errors="replace").splitlines()
    blocks = [f"Check complete, {told} been found!", *(_block(finding, lines, name) for finding in found)]
    return "\n\n".join(blocks), len(found)


def _block(finding: Finding, lines: list[str], name: str) -> str:
    first, last = max(1, finding.line - _AROUND), min(len(lines), finding.end_line + _AROUND)
    shown = []
    for number in range(first, last + 1):
        mark = ">>>" if finding.line <= number <= finding.end_line else "   "
        shown.append(f"{number:4d} | {mark} {lines[number - 1]}".rstrip())
    head = f"WARNING: {finding.rule} - {finding.url}\n{finding.detail}\n{name}:{finding.line}"
    return "\n".join([head, _RULER, *shown, _RULER])
