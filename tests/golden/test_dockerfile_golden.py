"""Dockerfiles and what they parse to: a folder per case, `Dockerfile` beside `expected`.

`PYDOCK_UPDATE_GOLDEN=1 pytest tests/golden` writes the expectations anew; read the diff.
A case whose name begins with `bad-` must fail, and `expected` is the error.
"""

import dataclasses
import os
from pathlib import Path

import pytest

from pydock_lab.dockerfile.instructions import Command, Instruction
from pydock_lab.dockerfile.parser import Heredoc
from pydock_lab.dockerfile.stages import Program, read_program
from pydock_lab.errors import DockerfileError

CASES = sorted(path for path in (Path(__file__).parent / "dockerfile").iterdir() if path.is_dir())


def show(value: object) -> str:
    if isinstance(value, Command):
        return ("shell " if value.shell_form else "exec ") + repr(value.words)
    if isinstance(value, Heredoc):
        return f"<<{'-' if value.chomp else ''}{value.name}{'' if value.expand else ' (quoted)'} {value.text!r}"
    if isinstance(value, tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    return repr(value)


def show_instruction(step: Instruction) -> str:
    own = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    for common in ("start_line", "end_line", "text"):
        del own[common]
    given = [f"{name}={show(value)}" for name, value in own.items() if value not in ("", (), False, None, 0)]
    return f"{step.start_line}-{step.end_line} {step.keyword} {' '.join(given)}"


def show_program(program: Program) -> str:
    lines = [f"directive {name}={value}" for name, value in program.file.directives.items()]
    lines += [f"warning {warning}" for warning in program.warnings]
    lines += [show_instruction(argument) for argument in program.arguments]
    for stage in program.stages:
        lines.append(show_instruction(stage.base))
        lines += ["  " + show_instruction(step) for step in stage.instructions]
    return "\n".join(lines) + "\n"


def outcome(source: bytes) -> str:
    try:
        return show_program(read_program(source))
    except DockerfileError as error:
        hint = f"hint: {error.hint}\n" if error.hint else ""
        return f"{error.message}\nline {error.line}: {error.text}\n{hint}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path) -> None:
    source = (case / "Dockerfile").read_bytes()
    expected = case / "expected"
    actual = outcome(source)
    if os.environ.get("PYDOCK_UPDATE_GOLDEN"):
        expected.write_text(actual)
    assert actual == expected.read_text()
    assert case.name.startswith("bad-") == ("\nline " in actual)


def test_there_are_cases_of_both_kinds() -> None:
    bad = [case for case in CASES if case.name.startswith("bad-")]
    assert len(bad) > 20
    assert len(CASES) - len(bad) > 15
