"""The question that pip asks beforehand inside the python stand-in: is an index in reach?"""

from __future__ import annotations

import socket
import sys

import pytest

from pydock_lab.daemon.catalog.parts import offline_pip


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_NO_INDEX", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pypi.org/simple", ("pypi.org", 443)),
        ("http://index.lan/simple", ("index.lan", 80)),
        ("https://index.lan:8443/", ("index.lan", 8443)),
    ],
)
def test_the_index_is_asked_itself(url: str, expected: tuple[str, int]) -> None:
    assert offline_pip.endpoint(url) == expected


def test_a_proxy_is_asked_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.lan:3128")
    assert offline_pip.endpoint("https://pypi.org/simple") == ("proxy.lan", 3128)


def test_in_reach_means_that_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert offline_pip.in_reach("127.0.0.1", port)
    assert not offline_pip.in_reach("127.0.0.1", free_port())
    assert not offline_pip.in_reach("no-such-host.invalid", 80, timeout_s=0.5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["python", "-m", "pip", "install", "flask"], True),
        (["python", "/usr/local/bin/pip", "download", "flask"], True),
        (["python", "/usr/local/bin/pip", "list"], False),
        (["python", "/usr/local/bin/pip", "install", "-i", "http://x", "flask"], False),
        (["python", "/usr/local/bin/pip", "install", "--index-url=http://x", "flask"], False),
    ],
)
def test_pip_is_told_only_where_it_would_ask(
    words: list[str], told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    offline_pip.prepare()
    assert (offline_pip.os.environ.get("PIP_NO_INDEX") == "1") is told
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    assert ("no package index in reach" in capsys.readouterr().err) is told
