"""docs/reference.md says what the grammar says."""

from __future__ import annotations

from pydock_lab.client.commands.grammar import load
from tools.reference import TARGET, page


def test_the_reference_is_up_to_date() -> None:
    assert TARGET.read_text("utf-8") == page(load()), "run `python -m tools.reference`"
