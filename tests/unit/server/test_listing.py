"""The panel's rows, from documents of the API."""

from __future__ import annotations

import pytest

from pydock_lab.errors import InvalidParameter
from pydock_lab.server import actions, listing


def test_ports_that_can_be_reached_have_a_way_through_jupyter() -> None:
    documents = [
        {"PrivatePort": 443, "Type": "tcp"},
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "10.1.2.3", "PrivatePort": 81, "PublicPort": 81, "Type": "tcp"},
        {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
    ]
    shown = {port["text"]: port["proxy"] for port in listing.ports(documents, is_here=True)}
    assert shown == {"53 → 53/udp": None, "8080 → 80": "proxy/8080/", "10.1.2.3:81 → 81": None, "443": None}
    assert list(shown)[-1] == "443"  # published ones come first
    assert not any(port["proxy"] for port in listing.ports(documents, is_here=False))


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        ("running", "Up 3 minutes (healthy)", "running, healthy"),
        ("running", "Up 1 second (health: starting)", "running, starting"),
        ("running", "Up 3 minutes", "running"),
        ("exited", "Exited (137) 2 hours ago", "exited (137)"),
        ("created", "Created", "created"),
    ],
)
def test_a_state_says_nothing_that_grows_old(state: str, status: str, text: str) -> None:
    document = {"Id": "1" * 64, "Names": ["/web"], "State": state, "Status": status, "Image": "nginx"}
    assert listing.container(document, is_here=True)["detail"] == text


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "created", "exited", "dead"])
def test_what_is_offered_is_allowed(state: str) -> None:
    for action in actions.of_container("web", state):
        if action["act"] in ("logs", "terminal"):
            assert action["command"].startswith(f"docker container {'logs' if action['act'] == 'logs' else 'exec'} ")
        else:
            assert action["command"] == actions.line(actions.words(action["noun"], action["act"], action["name"]))
        assert action["name"] == "web"
    removes = [action for action in actions.of_container("web", state) if action["label"] == "Remove"]
    assert [bool(action["warning"]) for action in removes] == [True]


def test_an_image_has_a_row_for_each_name() -> None:
    document = {"Id": f"sha256:{'a' * 64}", "RepoTags": ["web:1", "web:latest"], "Size": 1_990_000}
    assert [row["name"] for row in listing.image_rows(document)] == ["web:1", "web:latest"]
    (row,) = listing.image_rows(document | {"RepoTags": ["<none>:<none>"]})
    assert (row["name"], row["actions"][0]["command"]) == ("no name", f"docker image rm {'a' * 12}")


@pytest.mark.parametrize("name", ["", "-f", "--all", "a b", "a\n", "$(x)", "../x"])
def test_nothing_passes_for_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InvalidParameter):
        actions.words("container", "stop", name)
