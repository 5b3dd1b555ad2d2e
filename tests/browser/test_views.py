"""Every live view in JupyterLab: it shows what is there, follows what happens, and can be used by everybody.

One notebook with all the views serves all the tests: opening it costs more than any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import write_notebook
from tests.browser.jupyter import NARROW, WIDE, Desk, Notebook
from tests.conftest import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.root]

FOLLOWING = (
    "%lab stacks --boot",
    "%lab processes",
    "%lab events",
    "%lab stats",
    "%lab instances busybox",
    "%lab storage view-page",
    "%lab network",
    "%lab compose",
    "%lab volume view-data",
)
EXPLAIN, REQUESTS = "%lab explain view-page", "%lab requests docker run --rm busybox true"
VIEWS = (*FOLLOWING, EXPLAIN, REQUESTS, "%lab layers busybox", "%lab doctor", "%container ls")
SHOP = {  # what Compose writes on the containers it makes
    "db": "",
    "cache": "",
    "web": "db:service_healthy:false,cache:service_started:false",
    "proxy": "web:service_started:false",
}
SMALLEST_TEXT_PX = 8.5


class Opened(NamedTuple):
    """All views, and what they look at."""

    notebook: Notebook
    daemon: Daemon

    def area(self, source: str) -> Locator:
        """The output of a cell."""
        return self.notebook.cell(source).locator(".jp-OutputArea")

    def live(self, source: str) -> Locator:
        """The live picture in it."""
        return self.area(source).locator(".pd-picture-live, .pd-volume")


@pytest.fixture(scope="module")
def busy(daemon: Daemon, busybox: str) -> Iterator[Daemon]:
    """A daemon with a few containers."""

    def run(name: str, *words: str) -> None:
        done = daemon.docker("run", "-d", "--name", name, *words)
        assert done.returncode == 0, done.stderr

    daemon.docker("network", "create", "view-net")
    run("view-page", "-p", "127.0.0.1::80", "-v", "view-data:/data", busybox,
        "sh", "-c", "echo hi > /x; echo kept > /data/first; sleep 500 & exec sleep 600")  # fmt: skip
    run("view-side", "--network", "container:view-page", "-v", "view-data:/data", busybox, "sleep", "600")
    for service, needs in SHOP.items():
        labels = {"project": "shop", "service": service, "depends_on": needs}
        words = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        run(f"view-{service}-1" if service == "web" else f"view-{service}", *words, "--network", "view-net", busybox,
            "sleep", "600")  # fmt: skip
    yield daemon
    names = daemon.docker("ps", "-aq", "--filter", "name=view-").stdout.split()
    daemon.docker("rm", "-f", *names)
    daemon.docker("network", "rm", "view-net")
    daemon.docker("volume", "rm", "view-data")


@pytest.fixture(scope="module")
def views(desk: Desk, busy: Daemon) -> Iterator[Opened]:
    """All views open, as "Run all" leaves them."""
    write_notebook(desk.lab.notebooks / "views.ipynb", "%load_ext pydock_lab", *VIEWS)
    notebook = desk.open("views.ipynb")
    notebook.run_all()
    yield Opened(notebook, busy)
    notebook.close()
    assert not desk.errors


def test_they_show_what_is_there(views: Opened) -> None:
    for view, text in {
        "%lab stacks --boot": "containers on one kernel",
        "%lab processes": "view-page and view-side are in the same namespaces: net",
        "%lab volume view-data": "see the same",
    }.items():
        expect(views.live(view)).to_contain_text(text)
    expect(views.live("%lab stacks --boot")).to_contain_text("from start to its first process")
    assert views.live("%lab network").locator("svg.pd-drawing circle").count() >= 5
    expect(views.live("%lab compose").locator("svg.pd-drawing rect")).to_have_count(4)
    cards = views.live("%lab volume view-data").locator("article").all()[:3]  # as high as each other, in one row
    assert len({card.bounding_box()["height"] for card in cards}) == 1  # type: ignore[index]
    page = views.live("%lab instances busybox").locator("article", has_text="view-page").first
    expect(page).to_contain_text("/x")
    expect(views.area(EXPLAIN)).to_contain_text("Fork a process in new ")
    expect(views.area(REQUESTS)).to_contain_text("/containers/create")
    for asked_by_a_view in ("/events?", "/stats?", "GET /v1.47/networks", "com.docker.compose.project"):
        expect(views.area(REQUESTS)).not_to_contain_text(asked_by_a_view)


def test_they_follow_the_engine(views: Opened) -> None:
    follow(views, "view-late")


def test_run_again_a_cell_has_one_picture_and_it_follows(views: Opened) -> None:
    views.notebook.run_all()
    for source in FOLLOWING:
        expect(views.live(source)).to_have_count(1)
        expect(views.area(source).locator(".pd-live")).to_have_text("● live")
    follow(views, "view-again")


def follow(views: Opened, name: str) -> None:
    """What happens now is in every view soon, and what a reader has opened stays open."""
    stacks, daemon = views.live("%lab stacks --boot"), views.daemon
    if stacks.locator("details[open]").count() == 0:
        stacks.locator("summary").click()
    assert daemon.docker("exec", "view-page", "touch", f"/{name}", f"/data/{name}").returncode == 0
    started = daemon.docker("run", "-d", "--name", name, "-v", "view-data:/data", "busybox", "sleep", "600")
    assert started.returncode == 0, started.stderr
    for source in FOLLOWING:
        if source != "%lab compose":
            expect(views.live(source)).to_contain_text(name)
    instance = views.live("%lab instances busybox").locator("article", has_text="view-page").first
    expect(instance).to_contain_text(f"/{name}")
    expect(views.live("%lab stats")).to_contain_text("%")
    expect(stacks.locator("details")).to_have_attribute("open", "")


def test_pictures_in_every_width(views: Opened) -> None:
    """Nothing is wider than the page, or smaller than can be read: what is wide scrolls in its own box."""
    desk = views.notebook.desk
    areas = {source.split()[1]: views.area(source) for source in VIEWS}
    desk.keep(areas, widths=(WIDE, NARROW))
    desk.set_width(NARROW)
    for name, area in areas.items():
        assert area.evaluate(WIDER) == [], f"{name} is wider than the page"
        assert area.evaluate(SMALLEST) >= SMALLEST_TEXT_PX, f"{name} can't be read"
    broken = views.area(EXPLAIN).evaluate(BROKEN_WORDS)
    desk.set_width(WIDE)
    assert broken == []


WIDER = """area => [...area.querySelectorAll('.pd, .pd *')]
    .filter(element => element.getBoundingClientRect().right > area.getBoundingClientRect().right + 1)
    .filter(element => !element.closest('.pd-scroll, .pd-sr, pre') || element.matches('.pd-scroll'))
    .map(element => element.outerHTML.slice(0, 120))"""
SMALLEST = """area => Math.min(99, ...[...area.querySelectorAll('svg text')]
    .map(text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
BROKEN_WORDS = """area => [...area.querySelectorAll('tbody td:first-child')]
    .filter(cell => { const words = document.createRange(); words.selectNodeContents(cell);
                      return words.getClientRects().length > 1; }).map(cell => cell.textContent)"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_no_rule_of_access_is_broken(views: Opened, theme: str) -> None:
    """Contrast, names, roles: what a program can check of WCAG 2.1, in each theme, and in the side panel."""
    page = views.notebook.page
    page.evaluate("() => window.jupyterapp.shell.activateById('pydock-lab-panel')")
    panel = page.locator(".pd-lab-panel")
    expect(panel).to_contain_text("view-page")
    views.notebook.desk.set_theme(theme)
    assert_accessible(page, panel, *(views.area(source) for source in VIEWS))
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")


def test_drawings_and_changes_are_told(views: Opened) -> None:
    """A drawing has a title and a text, and stands beside a table; what changes is read out."""
    for source in VIEWS:
        area = views.area(source)
        for drawing in area.locator("svg:not([aria-hidden=true])").all():
            assert drawing.get_attribute("role") == "img"
            assert drawing.locator("> title").text_content()
            assert area.locator("table, ul, ol").count(), f"{source}: a drawing with nothing beside it"
        if source in FOLLOWING:
            expect(area.locator("[aria-live=polite]")).not_to_be_empty()
            expect(area.locator(".pd-live[role=status]")).to_have_text("● live")


def test_every_view_is_walked_by_keyboard(views: Opened) -> None:
    """Tab goes through everything that can be used, in the order of the page, shows where it is, and leaves."""
    page = views.notebook.page
    walked = 0
    for source in VIEWS:
        area = views.area(source)
        if not (stops := area.evaluate(f"area => {STOPS}.length")):
            continue
        walked += 1
        area.evaluate(f"area => {STOPS}[0].focus()")
        for stop in range(stops):
            at, outline = area.evaluate(FOCUS)
            assert at == stop, f"{source}: Tab goes to {at} instead of {stop} of {stops}"
            if stop:  # the first was given the focus by the test, not by a key
                assert outline != "none", f"{source}: not to be seen that stop {stop} has the focus"
            page.keyboard.press("Tab")
        assert area.evaluate(FOCUS)[0] == -1, f"{source}: a trap"
    assert walked >= 9  # the others are only read


# Looked up at each step: a live view puts what it draws anew in place of what was marked.
STOPS = """[...area.querySelectorAll('button, input, summary, [tabindex]')]
    .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility())"""
FOCUS = f"""area => [{STOPS}.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"""


def test_keys_do_what_the_mouse_does(views: Opened) -> None:
    page = views.notebook.page
    events = views.live("%lab events")
    events.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(events.locator("details table")).to_be_visible()
    page.keyboard.press("Enter")
    expect(events.locator("details table")).to_be_hidden()

    volume = views.live("%lab volume view-data")  # the same file, on all who see it
    volume.locator("li", has_text="first").first.focus()
    expect(volume.locator("li.pd-same", has_text="first")).to_have_count(volume.locator("li", has_text="first").count())
    assert volume.locator("li.pd-same").count() >= 3


def test_nothing_moves_for_those_who_do_not_want_it(views: Opened) -> None:
    page = views.notebook.page
    assert page.evaluate(MOVING) > 0  # else the look below proves nothing
    page.emulate_media(reduced_motion="reduce")
    views.daemon.docker("exec", "view-page", "touch", "/data/quiet")
    expect(views.live("%lab volume view-data").locator("li.pd-new").first).to_contain_text("quiet")
    still = page.evaluate(MOVING)
    page.emulate_media(reduced_motion="no-preference")
    assert still == 0


MOVING = """() => [...document.querySelectorAll('.pd, .pd *')].flatMap(each => ['', '::before', '::after'].map(
    part => getComputedStyle(each, part))).filter(style => style.animationName !== 'none'
    || style.transitionDuration.split(', ').some(duration => duration !== '0s')).length"""


def assert_accessible(page: Page, *areas: Locator) -> None:
    """No rule of WCAG 2.1 A and AA that a program can check is broken inside outputs."""
    for area in areas:
        area.evaluate("element => { element.dataset.checked = 'now' }")
    options = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = Axe().run(page, context="[data-checked=now]", options=options).response["violations"]
    for area in areas:
        area.evaluate("element => { delete element.dataset.checked }")
    assert not found, json.dumps([(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found])
