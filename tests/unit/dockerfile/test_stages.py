"""Stages as a graph: who needs whom, and what a target leaves out."""

import pytest

from pydock_lab.dockerfile.stages import read_program
from pydock_lab.errors import DockerfileError, InvalidParameter

DIAMOND = """ARG BASE=alpine
FROM $BASE AS base
FROM base AS left
RUN left
FROM base AS right
RUN right
FROM scratch AS unused
FROM base
COPY --from=left /l /l
COPY --from=2 /r /r
RUN --mount=type=bind,from=left,target=/x true
"""


def labels(source: str, target: str = "") -> list[str]:
    program = read_program(source)
    return [stage.label for stage in program.needed(program.target(target), {"BASE": "alpine"})]


def test_only_what_the_target_needs_is_built_and_in_order() -> None:
    assert labels(DIAMOND) == ["base", "left", "right", "4"]
    assert labels(DIAMOND, "right") == ["base", "right"]
    assert labels(DIAMOND, "unused") == ["unused"]
    assert labels(DIAMOND, "1") == ["base", "left"]


def test_a_name_that_is_no_stage_is_an_image() -> None:
    assert labels("FROM alpine AS a\nFROM scratch\nCOPY --from=nginx:latest /a /b\n") == ["1"]


def test_a_later_stage_shadows_an_earlier_one_of_the_same_name() -> None:
    program = read_program("FROM a AS x\nFROM b AS x\nFROM x\n")
    base = program.base_of(program.stages[2], {})
    assert base is not None
    assert base.index == 1


def test_a_stage_is_not_its_own_base() -> None:
    program = read_program("FROM alpine AS alpine\nRUN x\n")
    assert program.base_of(program.stages[0], {}) is None


def test_circular_stages_name_the_line() -> None:
    with pytest.raises(DockerfileError, match="circular dependency detected on stage: b") as raised:
        labels("FROM x AS a\nCOPY --from=b /f /f\nFROM a AS b\n")
    assert raised.value.line == 2 or raised.value.line == 3


def test_a_stage_that_copies_from_itself() -> None:
    with pytest.raises(DockerfileError, match="circular"):
        labels("FROM x AS a\nCOPY --from=a /f /f\n")


def test_unknown_target_lists_the_stages() -> None:
    program = read_program("FROM a AS one\nFROM b\n")
    with pytest.raises(InvalidParameter, match='target stage "two" could not be found') as raised:
        program.target("two")
    assert raised.value.hint == "the stages are: one, 1"
