"""The still pictures of the live views: plain text and HTML without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest

from pydock_lab.client.commands.session import Result
from pydock_lab.notebook.html import frame, tag
from pydock_lab.notebook.shown import Shown
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.views import layers as layers_view
from pydock_lab.notebook.views import volume as volume_view


def step(keyword: str, text: str, **fields: Any) -> dict[str, Any]:
    plain = {"size": 0, "empty": True, "base": False, "cached": None, "reason": ""}
    return plain | {"keyword": keyword, "text": text, "added": 0, "changed": 0, "deleted": 0, "files": []} | fields


LAYERS = {
    "image": "app:1",
    "id": "sha256:" + "1" * 64,
    "size": 13_200_000,
    "explained": True,
    "steps": [
        step("FROM", "python:3.12-alpine", size=13_000_000, empty=False, base=True, added=4213),
        step("RUN", "rm /a && echo '<b>' > /b", size=200_000, empty=False, cached=False, added=1, changed=2, deleted=1,
             files=[["D", "/a", 0], ["C", "/b", 4]], reason="built anew: no step like this"),
        step("CMD", '["flask"]', cached=True),
    ],
}  # fmt: skip


def file(path: str, text: str, identity: str) -> dict[str, Any]:
    return {"path": path, "size": len(text), "directory": False, "text": text, "identity": identity}


def observer(title: str, files: list[dict[str, Any]] | None, **fields: Any) -> dict[str, Any]:
    plain = {"key": title, "kind": "container", "title": title, "image": "app:1", "state": "running", "writable": True}
    return plain | {"path": "/data", "files": files, "note": ""} | fields


ONE = file("names.txt", "Ada\nGrace\n", "0:45:7")


class Balance(HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(name)
        self.seen.add(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name


def check(html: str) -> None:
    balance = Balance(html)
    assert balance.open == []
    assert not balance.seen & {"script", "link", "iframe", "img"}
    assert "http" not in html.replace("http://www.w3.org", "")


def test_layers_tell_what_is_wasted() -> None:
    waste = {"wasted_bytes": 1500, "efficiency": 0.8745, "wasted_paths": 3, "wasted": [{"path": "/big", "size": 1400}]}
    bundle = layers_view.bundle(LAYERS | {"waste": waste}, Steady())
    told = [line.strip() for line in bundle["text/plain"].splitlines()[-3:]]
    assert told == [
        "Efficiency 87.5 %: 1.5kB of files that a later layer replaces or removes", "1.4kB  /big", "and 2 more",
    ]  # fmt: skip
    assert "<summary>Efficiency 87.5 %" in bundle["text/html"]
    none = layers_view.bundle(LAYERS | {"waste": waste | {"wasted_bytes": 0, "wasted": []}}, Steady())
    assert none["text/plain"].splitlines()[-1].startswith("Efficiency 100 %")


def test_layers_as_text_and_html() -> None:
    bundle = layers_view.bundle(LAYERS, Steady())
    lines = bundle["text/plain"].splitlines()
    assert lines[0] == "app:1: 3 instructions, 2 layers, 13.2MB"
    assert lines[1].split() == ["1", "FROM", "python:3.12-alpine", "13MB", "base", "+4213"]
    assert lines[2].endswith("200kB  ● built   +1 ~2 −1")
    assert lines[3].split() == ["3", "CMD", '["flask"]', "-"]
    check(bundle["text/html"])
    assert "echo '<b>'" not in bundle["text/html"]
    assert "and 2 more" in bundle["text/html"]


@pytest.mark.parametrize(
    ("observers", "says"),
    [
        ([observer("host", [ONE]), observer("web", [ONE])], "Both see the same file: "),
        ([observer("host", [ONE]), observer("web", None, state="removed")], "It has outlived 1 container."),
        ([observer("host", []), observer("web", [])], "The volume is empty."),
        ([observer("host", [ONE]), observer("web", [file("names.txt", "Ada", "0:46:9")])], "do not see the same files"),
        ([observer("host", None)], "Nobody can look"),
    ],
)
def test_the_verdict_is_drawn_from_inodes(observers: list[dict[str, Any]], says: str) -> None:
    assert says in volume_view.verdict(observers)


def test_volume_as_text_and_html() -> None:
    observers = [
        observer("this host", [ONE], kind="host", state=""),
        observer("web", None, state="removed", note="Gone."),
    ]
    view = {"volume": "notes-data", "state": "", "observers": observers, "verdict": "Fine."}
    bundle = volume_view.bundle(view, Steady())
    assert bundle["text/plain"].splitlines() == [
        "volume notes-data",
        "  this host, at /data",
        "      names.txt                    10B  “Ada”",
        "  web ✕ removed, at /data",
        "      Gone.",
        "Fine.",
    ]
    check(bundle["text/html"])


def test_a_table_shortens_ids_and_a_result_stands_for_its_container() -> None:
    rows = [{"CONTAINER ID": "c" * 64, "COMMAND": '"sh"', "STATUS": "Up 3 seconds"}]
    shown = Shown.of(Result(text="the table", columns=("CONTAINER ID", "COMMAND", "STATUS"), rows=rows), Steady())
    assert shown.bundle()["text/plain"] == "the table"
    assert f">{'c' * 12}<" in shown.bundle()["text/html"]
    check(shown.bundle()["text/html"])
    assert list(shown) == rows
    assert str(Shown.of(Result(container_id="c" * 64), Steady())) == "c" * 64


def test_a_result_is_a_sequence_of_records() -> None:
    """Which is what pandas.DataFrame() and json_normalize() take."""
    run = Shown.of(Result(container_id="c" * 64, exit_code=3), Steady(), output="hello\n")
    assert isinstance(run, Sequence)
    assert list(run) == [{"CONTAINER ID": "c" * 12, "EXIT CODE": 3, "OUTPUT": "hello"}]
    inspected = Shown.of(Result(documents=[{"Id": "1", "State": {"Pid": 7}}]), Steady())
    assert inspected[0]["State"]["Pid"] == 7
    table = Shown.of(Result(columns=("NAME",), rows=[{"NAME": "web"}], documents=[{"Id": "1"}]), Steady())
    assert [dict(row) for row in table] == [{"NAME": "web"}]
    assert list(Shown.of(Result(columns=("NAME",), documents=[{}]), Steady())) == []
    assert list(Shown.of(Result(names=("web",)), Steady())) == []


def test_html_escapes_text_and_keeps_markup() -> None:
    assert (
        tag("td", "<b>", tag("b", "&"), class_="x", title='"')
        == '<td class="x" title="&quot;">&lt;b&gt;<b>&amp;</b></td>'
    )
    check(frame("text", label="a label"))
