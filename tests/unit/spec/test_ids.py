"""Ids that nobody takes for a number."""

import secrets

import pytest

from pydock_lab.spec.ids import fresh_id


def test_an_id_is_never_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["1" * 64, "413434891742" + "a" * 52, "0123456789ab" + "0" * 52])
    monkeypatch.setattr(secrets, "token_hex", lambda count: next(made))
    assert fresh_id() == "0123456789ab" + "0" * 52


@pytest.mark.parametrize("digits", [64, 12])
def test_its_length(digits: int) -> None:
    assert len(bytes.fromhex(fresh_id(digits))) * 2 == digits
