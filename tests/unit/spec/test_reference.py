"""References, platforms and times as Docker reads and writes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import timestamps
from pydock_lab.spec.platform import Platform, choose
from pydock_lab.spec.reference import parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        ("a.b/c/d", "a.b/c/d:latest", "a.b/c/d:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}", f"app:1@{DIGEST}"),
        ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f:latest", "a__b/c-d.e_f:latest"),
    ],
)
def test_references(text: str, full: str, familiar: str) -> None:
    reference = parse(text)
    assert (str(reference), reference.familiar) == (full, familiar)
    assert parse(str(reference)) == reference == parse(reference.familiar)


@pytest.mark.parametrize(
    "text", ["", ":x", "a:", "a b", "a@b", "a//b", "/a", "a/", "-a", "a:-x", "a" * 300, "A", "a/B", "a___b", "http://a"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse(text)


def test_an_id_is_no_repository() -> None:
    with pytest.raises(InvalidParameter, match="cannot specify 64-byte hexadecimal strings"):
        parse("a" * 64)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidParameter:
        return
    assert parse(str(reference)) == reference


def test_platforms() -> None:
    assert str(Platform.parse("linux/arm64/v8")) == "linux/arm64/v8"
    assert Platform.parse("aarch64") == Platform("linux", "arm64")
    assert Platform.parse("linux") == Platform.host()
    for text in ("", "a/b/c/d", "linux/!"):
        with pytest.raises(InvalidParameter):
            Platform.parse(text)


def test_the_best_manifest_is_chosen() -> None:
    def entry(name: str, **platform: str) -> dict[str, Any]:
        return {"name": name, "platform": {"os": "linux", **platform}}

    offers: list[dict[str, Any]] = [
        {"name": "none"},
        entry("amd64", architecture="amd64"),
        entry("v6", architecture="arm", variant="v6"),
        entry("v7", architecture="arm", variant="v7"),
        entry("arm64", architecture="arm64", variant="v8"),
    ]
    wishes = {"linux/amd64": "amd64", "linux/arm/v7": "v7", "linux/arm/v6": "v6", "linux/arm64": "arm64"}
    for wish, name in wishes.items():
        chosen = choose(offers, Platform.parse(wish))
        assert chosen is not None
        assert chosen["name"] == name
    assert choose(offers, Platform.parse("linux/s390x")) is None
    assert choose(offers, Platform.parse("linux/arm/v5")) is None


@given(st.integers(0, 4 * 10**18))
def test_times_are_read_as_written(time_ns: int) -> None:
    assert timestamps.parse(timestamps.render(time_ns)) == time_ns


def test_times_of_other_zones() -> None:
    assert timestamps.parse("1970-01-01T01:00:00.5+01:00") == 500_000_000
    assert timestamps.render(1_500_000_000) == "1970-01-01T00:00:01.5Z"
    assert timestamps.parse(timestamps.ZERO) < 0
    for text in ("", "yesterday", "2024-13-01T00:00:00Z"):
        with pytest.raises(InvalidParameter):
            timestamps.parse(text)
