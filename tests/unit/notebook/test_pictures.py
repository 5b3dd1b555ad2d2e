"""What the views draw from given documents; tests/browser looks at them with a real engine."""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.errors import Unavailable
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.views import (
    instances,
    launch,
    network_map,
    picture,
    processes,
    project_graph,
    projects,
    requests,
    stacks,
    storage,
    timeline,
)
from tests.unit.notebook.test_views import check

INODES = {"mnt": 1, "pid": 2, "net": 3, "cgroup": 4}


def process(pid: int, inside: int, parent: int, command: str) -> dict[str, Any]:
    return {"pid": pid, "inside": inside, "parent": parent, "user": 0, "command": command}


def container(name: str, *processes: dict[str, Any], **namespaces: int) -> dict[str, Any]:
    return {"id": name, "name": name, "image": "<app>", "namespaces": INODES | namespaces, "processes": list(processes)}


HOST = {
    "kernel": "Linux 6.1",
    "engine_pid": 5,
    "machine": "x86_64",
    "cpus": 2,
    "memory_bytes": 4e9,
    "namespaces": INODES,
}
GUEST = {
    "pid": 77, "kernel": "Linux 5.9", "processes": [{"inside": 1, "command": "init"}], "process_count": 30,
    "memory_bytes": 90e6, "resident_bytes": 40e6, "boot_ns": 2_000_000_000,
}  # fmt: skip
MACHINE = {
    "host": HOST,
    "machine": None,
    "can_boot": True,
    "container_start_ns": 0,
    "containers": [
        container("web", process(12, 3, 11, "b"), process(10, 1, 2, "<init>"), process(11, 2, 10, "a"), mnt=7, net=9),
        container("side", process(20, 1, 2, "sleep"), mnt=8, net=9),
    ],
}


def test_stacks_tell_own_namespaces_from_the_hosts() -> None:
    drawn = stacks.draw(MACHINE)
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.summary == "2 containers on one kernel, Linux 6.1"
    assert "namespaces of its own: mnt, net; the host's: pid, cgroup" in drawn.plain
    assert "&lt;init&gt;" in drawn.html


def test_a_booted_machine_stands_beside_the_containers_with_both_times() -> None:
    drawn = stacks.draw(MACHINE | {"machine": GUEST, "container_start_ns": 20_000_000})
    check(drawn.bundle(Steady())["text/html"])
    assert "from start to its first process: 2.0 s; container: 20 ms" in drawn.plain
    assert "a kernel of its own, Linux 5.9" in drawn.summary
    assert "%lab stacks --boot" in stacks.draw(MACHINE).plain
    assert "not installed" in stacks.draw(MACHINE | {"can_boot": False}).plain


def test_processes_stand_below_their_parents() -> None:
    drawn = processes.draw(MACHINE)
    check(drawn.bundle(Steady())["text/html"])
    assert [(depth, each["inside"]) for depth, each in processes.tree(MACHINE["containers"][0]["processes"])] == [
        (0, 1), (1, 2), (2, 3),
    ]  # fmt: skip
    assert "web and side are in the same namespaces: pid, net." in drawn.plain


def test_a_launch_shows_its_steps_and_short_ids() -> None:
    steps = [{"description": f"Move into /pydock/{'a' * 64}", "duration_ns": 2_000_000, "where": "host"}]
    event = {"source": "runtime", "kind": "container.launched", "data": {"pid": 7, "steps": steps}}
    drawn = launch.draw("web", [event])
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.summary == "1 step in 2.00 ms"
    assert f"Move into /pydock/{'a' * 12}\n" in drawn.plain + "\n"
    assert "Nothing is remembered" in launch.draw("web", []).plain


def test_requests_stand_in_the_order_in_which_they_began() -> None:
    def event(kind: str, at_ns: int, **data: Any) -> dict[str, Any]:
        return {"kind": kind, "source": "engine", "at_ns": at_ns, "data": data}

    asked = {"method": "POST", "path": "/containers/create", "status": 201, "duration_ns": 9_000_000}
    drawn = requests.draw(
        "run x",
        requests.rows([event("container.created", 5_000_000), event("request.answered", 10_000_000, **asked)]),
    )
    check(drawn.bundle(Steady())["text/html"])
    assert [line.split()[2] for line in drawn.plain.splitlines()[1:]] == ["client", "engine"]
    assert drawn.summary == "docker run x: 1 request in 9.00 ms"


def test_a_pull_is_a_sequence_with_the_registry() -> None:
    def event(kind: str, at_ns: int, **data: Any) -> dict[str, Any]:
        return {"kind": kind, "source": "registry", "at_ns": at_ns, "data": data}

    asked = {"method": "POST", "path": "/images/create?fromImage=x", "status": 200, "duration_ns": 9_000_000}
    url = "http://127.0.0.1:5000/v2/x/manifests/1"
    told = {"method": "GET", "url": url, "status": 404, "sent": 0, "received": 1500, "duration_ns": 2_000_000}
    drawn = requests.draw(
        "pull x",
        requests.rows([event("registry.answered", 5_000_000, **told), event("request.answered", 10_000_000, **asked)]),
    )
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.summary == "docker pull x: 1 request in 9.00 ms; 1 from the engine to 127.0.0.1:5000, 1.5kB"
    assert drawn.plain.splitlines()[2].split() == [
        "2.00", "ms", "→", "127.0.0.1:5000", "GET", "/v2/x/manifests/1", "→", "404,", "1.5kB", "received", "after",
        "2.00", "ms",
    ]  # fmt: skip
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn.html)
    assert texts[:3] == ["client", "engine", "127.0.0.1:5000"]
    assert texts[3:] == [
        "POST /images/create", "GET /v2/x/manifests/1", "404, 1.5kB received after 2.00 ms", "200 after 9.00 ms",
    ]  # fmt: skip


def test_an_image_is_there_once() -> None:
    one = {
        "id": "1",
        "name": "web",
        "state": "running",
        "size": 5,
        "upper": "/u",
        "changes": [[2, "/motd"]],
        "changed": 3,
    }
    document = {"image": "app:1", "size": 2_000_000, "layers": 2, "containers": [one], "more": 0}
    drawn = instances.draw(document)
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.summary == "app:1 is there once, 2MB; 1 container of it, 5B written by them"
    assert "− /motd" in drawn.plain
    assert "and 2 more" in drawn.html


def test_the_map_says_who_is_where_and_which_ports_lead_in() -> None:
    network = {
        "name": "bridge",
        "driver": "bridge",
        "subnet": "10.0.0.0/8",
        "gateway": "",
        "bridge": "",
        "internal": False,
    }
    web = {
        "id": "1",
        "name": "web",
        "addresses": {"bridge": "10.0.0.2"},
        "ports": ["0.0.0.0:80 → 80/tcp"],
        "shares": "",
    }
    side = {"id": "2", "name": "side", "addresses": {}, "ports": [], "shares": "web"}
    drawn = network_map.draw({"networks": [network], "containers": [web, side], "kernel": {}, "links": {}})
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.plain.endswith("  side shares the network of web: its addresses, its ports")
    assert ">in the network of web<" in drawn.html
    assert "web                  10.0.0.2  from the host: 0.0.0.0:80 → 80/tcp" in drawn.plain
    assert ">port 80<" in drawn.html


def service(name: str, **needs: str) -> dict[str, Any]:
    containers = [{"name": f"{name}-1", "state": "running", "status": "Up", "health": ""}]
    shared: dict[str, list[str]] = {"ports": [], "volumes": [], "networks": []}
    return {"name": name, "image": "x", "needs": needs, "containers": containers, **shared}


def test_services_stand_right_of_what_they_wait_for_even_in_a_circle() -> None:
    services = [service("web", db="healthy"), service("db"), service("proxy", web="started", gone="started")]
    assert [[each["name"] for each in column] for column in project_graph.columns(services)] == [
        ["db"],
        ["web"],
        ["proxy"],
    ]
    check(projects.draw({"project": "shop", "services": services, "networks": []}).bundle(Steady())["text/html"])
    circle = [service("a", b="started"), service("b", a="started")]
    assert project_graph.columns(circle) and projects.draw({"project": "c", "services": circle, "networks": []}).summary


def test_a_service_says_how_its_containers_are() -> None:
    up, ill, ended = service("web"), service("worker"), service("migrate")
    ill["containers"] = [{**ill["containers"][0], "health": health} for health in ("healthy", "unhealthy")]
    ended["containers"][0] |= {"state": "exited", "status": "Exited (3) 2 hours ago"}
    up |= {"ports": ["80 → 8000"], "volumes": ["data → <data>"], "networks": ["front"]}
    networks = [{"name": "front", "subnet": "10.0.0.0/8", "internal": True}]
    drawn = projects.draw({"project": "shop", "services": [up, ill, ended], "networks": networks})
    check(drawn.bundle(Steady())["text/html"])
    assert drawn.summary == "shop: 3 services, 3 of 4 containers running, 1 unhealthy"
    assert [project_graph.states(one) for one in (up, ill, ended)] == [
        "● running", "● 2 of 2 running, unhealthy", "○ exited (3)",
    ]  # fmt: skip
    assert "web (x) ● running  ports 80 → 8000  volumes data → <data>  on front" in drawn.plain
    assert "network front 10.0.0.0/8 (no way out)" in drawn.plain
    assert "▤ data → &lt;data&gt;" in drawn.html


def test_a_live_picture_outlives_its_engine_and_comes_back() -> None:
    answers = iter(["one", Unavailable("gone"), "two"])

    def read(connection: object) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def draw(text: str) -> picture.Picture:
        return picture.Picture("", text, picture.Markup(text))

    look = picture._Look(read, draw, draw("first"), Steady(), connect=Connection)
    states = [look() for _ in range(3)]
    assert [(each["html"], each["state"]) for each in states] == [("one", ""), ("one", "gone"), ("two", "")]


def test_storage_tells_what_rm_takes_and_what_stays() -> None:
    base = {"destination": "/d", "writable": True, "image_has": [], "image_has_count": 0, "copied": False, "names": []}
    named = base | {"type": "volume", "name": "data", "source": "/v", "anonymous": False, "files": 2, "size": 10}
    unnamed = named | {"name": "ab" * 32, "anonymous": True, "gone": True}
    bind = base | {"type": "bind", "name": "", "source": "/home", "anonymous": False, "files": 1, "size": 5}
    bind |= {"image_has": ["<main>.py"], "image_has_count": 1}
    upper = {"path": "/diff", "size": 3, "count": 1, "files": [{"kind": "C", "path": "/etc/my.conf", "size": 3}]}
    document = {"id": "1", "name": "web", "image": "app", "state": "running", "layers": 2, "upper": upper}
    drawn = storage.draw(document | {"mounts": [named, bind]})
    check(drawn.bundle(Steady())["text/html"])
    assert "copied up from the image" in drawn.html
    assert "hides what the image has there: <main>.py" in drawn.plain
    removed = storage.draw(document | {"state": "removed", "mounts": [named, unnamed]})
    gone, stayed = removed.summary.split("Still there: ")
    assert "writable layer" in gone and "anonymous volume abab" in gone
    assert stayed == "named volume data, image app"


def test_steps_of_one_kind_are_folded_and_what_failed_is_not() -> None:
    steps = [{"description": f"Take hold of /{name}", "duration_ns": 1_000_000, "where": "host"} for name in "abcd"]
    failed = [*steps[:3], steps[3] | {"error": "EPERM"}]
    for some, folded in ((steps, "4 × Take hold of"), (failed, "3 × Take hold")):
        event = {"source": "runtime", "kind": "container.launched", "data": {"pid": 7, "steps": some}}
        drawn = launch.draw("web", [event])
        check(drawn.bundle(Steady())["text/html"])
        assert folded in drawn.html
        assert drawn.plain.count("Take hold of") == 4


def test_a_burst_and_a_silence_both_fit_on_the_line_of_time() -> None:
    def event(at_ns: int, action: str) -> dict[str, Any]:
        return {"at_ns": at_ns, "type": "container", "name": "web", "action": action, "exit": ""}

    events = [event(1_000_000_000, "create"), event(1_010_000_000, "start"), event(200_000_000_000, "die")]
    drawn = timeline.draw({"now_ns": 201_000_000_000, "events": events})
    check(drawn.bundle(Steady())["text/html"])
    create, start = (int(float(x)) for x in re.findall(r'circle cx="(\d+)"', drawn.html))
    assert start - create >= 10
