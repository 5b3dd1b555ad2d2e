"""Logins in the configuration and behind helper programs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.config import ClientConfig
from pydock_lab.client.credentials import Credentials, Login, registry_auth, registry_config, server_of

HELPER = """#!/bin/sh
store="$(dirname "$0")/kept"
case "$1" in
store) cat > "$store" ;;
get) if ! cat "$store" 2> /dev/null; then echo "credentials not found in native keychain"; exit 1; fi ;;
erase) cat > /dev/null; rm "$store" ;;
list) echo '{"registry.test": "user"}' ;;
esac
"""


def config_of(directory: Path, document: dict[str, object] | None = None) -> ClientConfig:
    if document is not None:
        (directory / "config.json").write_text(json.dumps(document))
    return ClientConfig(directory, {})


def decoded(header: str) -> object:
    return json.loads(base64.urlsafe_b64decode(header))


def test_a_login_is_kept_beside_what_else_the_file_says(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"psFormat": "x", "auths": {"other": {"auth": "YTpi"}}})
    Credentials(config).store(Login("localhost:5000", "me", "s:cret"))
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["psFormat"] == "x" and set(document["auths"]) == {"other", "localhost:5000"}
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
    again = config_of(tmp_path)
    assert Credentials(again).get("localhost:5000") == Login("localhost:5000", "me", "s:cret")
    expected = {"username": "me", "password": "s:cret", "serveraddress": "localhost:5000"}
    assert decoded(registry_auth(again, "localhost:5000")) == expected
    assert Credentials(again).erase("localhost:5000")
    assert Credentials(config_of(tmp_path)).get("localhost:5000") is None
    assert not Credentials(again).erase("localhost:5000")


def test_docker_hub_has_a_name_of_its_own(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}})
    assert server_of("docker.io") == "https://index.docker.io/v1/"
    assert decoded(registry_auth(config, "docker.io")) == {
        "username": "a",
        "password": "b",
        "serveraddress": "https://index.docker.io/v1/",
    }
    header = registry_config(config)["X-Registry-Config"]
    assert set(decoded(header)) == {"https://index.docker.io/v1/"}  # type: ignore[call-overload]


def test_nothing_known_is_an_empty_header(tmp_path: Path) -> None:
    assert decoded(registry_auth(config_of(tmp_path), "docker.io")) == {}
    assert registry_config(config_of(tmp_path)) == {}


def test_a_helper_keeps_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker-credential-toy").write_text(HELPER)
    (programs / "docker-credential-toy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    config = config_of(tmp_path, {"credHelpers": {"registry.test": "toy"}})
    credentials = Credentials(config)
    assert credentials.get("registry.test") is None
    credentials.store(Login("registry.test", "user", "secret"))
    assert json.loads((tmp_path / "config.json").read_text())["auths"] == {"registry.test": {}}
    assert credentials.get("registry.test") == Login("registry.test", "user", "secret")
    assert [login.username for login in credentials.all()] == ["user"]
    assert credentials.erase("registry.test")
    assert credentials.get("registry.test") is None


def test_a_helper_that_is_not_there_is_said(tmp_path: Path) -> None:
    """What needs no login goes on without it; keeping one is refused."""
    credentials = Credentials(config_of(tmp_path, {"credsStore": "nowhere"}))
    assert credentials.get("registry.test") is None
    assert credentials.all() == []
    with pytest.raises(CommandError, match='exec: "docker-credential-nowhere": executable file not found'):
        credentials.store(Login("registry.test", "user", "secret"))


def test_logins_in_other_forms(tmp_path: Path) -> None:
    plain = {"username": "user", "password": "secret"}
    config = config_of(tmp_path, {"auths": {"plain.test": plain, "broken.test": {"auth": "notbase64!!"}}})
    assert Credentials(config).get("plain.test") == Login("plain.test", "user", "secret")
    with pytest.raises(CommandError, match=r"auths of broken\.test: illegal base64 data"):
        Credentials(config).get("broken.test")


def test_a_broken_configuration_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CommandError, match="loading config file"):
        _ = config_of(tmp_path).document
