"""Outputs that can be compared: ids, clocks, and what a machine or a run happens to give."""

from __future__ import annotations

import random
import secrets
from typing import Any

import pytest

from pydock_lab.client.commands.session import Result
from pydock_lab.client.commands.text.tables import Table, inspect_result
from pydock_lab.notebook.shown import Shown
from pydock_lab.notebook.steady import Steady


def an_id() -> str:
    return f"a{secrets.token_hex(32)[1:]}"


def test_without_a_seed_nothing_changes() -> None:
    text = f"{secrets.token_hex(32)} 3 seconds ago, patient_mcilroy, 172.20.0.2:40123"
    assert Steady().text(text) == text
    assert Steady().bundle(text, text) == {"text/plain": text, "text/html": text}
    assert Steady().data({"pid": 7, "took_ns": 8, "text": text}) == {"pid": 7, "took_ns": 8, "text": text}


def test_ids_are_renumbered_in_the_order_of_their_appearance() -> None:
    def told() -> str:
        one, two = an_id(), an_id()
        steady = Steady("seed")
        return steady.text(f"{one}\nsha256:{two} {one[:12]}") + steady.text(f"<code>{two[:12]}</code>")

    assert told() == told()


def test_what_only_html_shows_does_not_shift_what_plain_text_shows() -> None:
    def told(*more: str) -> tuple[str, str]:
        steady = Steady("seed")
        steady.bundle("a picture", " ".join(["pdab12-0 Linux 6.1.2 172.29.0.1:40001/tcp 4026534841 eth0@if77", *more]))
        port, inode = random.randrange(41_000, 42_000), random.randrange(4026535000, 4026535999)
        shown = steady.bundle(f"{an_id()} 172.30.0.1:{port}/tcp {inode} Linux 5.1.2 eth0@if{port}", "")
        return shown["text/plain"], steady.bundle("", "172.30.0.9")["text/html"]

    assert told() == told(an_id(), an_id()[:12], an_id())


def test_a_picture_that_is_replaced_counts_for_nothing() -> None:
    def told(*passing: str) -> str:
        steady = Steady("seed")
        steady.text(one[:12])
        for text in passing:
            sketch = steady.sketch()
            assert sketch.text(one[:12]) == steady.text(one[:12])  # it knows what is known
            sketch.text(text)
        return steady.text(two)

    one, two = an_id(), an_id()
    assert told() == told(an_id(), an_id())
    assert Steady().sketch().text(one) == one


def test_all_forms_of_an_id_stay_one_id() -> None:
    real = "ab" * 32
    long, short, bridge = Steady("seed").text(f"{real} {real[:12]} pdab12-{real[:8]}").split()
    assert long != real
    assert long.startswith(short)
    assert long.startswith(bridge.removeprefix("pd0000-"))


def test_clocks_are_left_vague() -> None:
    steady = Steady("seed")
    assert steady.text("Up 3 minutes") == steady.text("Up Less than a second")
    assert steady.text("2 hours ago") == steady.text("About a minute ago")
    assert steady.text("2026-11-23T19:22:08.123456789Z") == steady.text("2025-01-02T03:04:05Z")
    assert steady.text("took 1.2 s") == steady.text("took 30 ms")


def test_what_only_looks_like_an_id_stays() -> None:
    text = "127.0.0.1:5000 a 123456789012 deadbeef notes-app:1.0 abcdefabcdef-x"
    assert Steady("seed").text(text) == text


def test_an_id_of_digits_alone_is_one_where_ids_stand() -> None:
    for text in ("123456789012   busybox", '"123456789012"', "/layers/1234567890123456"):
        assert "1234567890" not in Steady("seed").text(text)


def test_a_bridge_s_id_of_digits_alone_is_one() -> None:
    lettered, digits = (Steady("same").text(f"bridge pd1a2b-{found}") for found in ("bdcd11aa", "83844719"))
    assert lettered == digits


def test_names_that_the_engine_made_up_are_replaced_in_the_order_of_their_appearance() -> None:
    def told(*names: str) -> list[str]:
        steady = Steady("seed")
        return [steady.text(name) for name in names]

    assert told("calm_joy", "my-web", "witty_wing1") == told("warm_kay", "my-web", "deft_zuse")
    assert told("my_app", "calm_water") == ["my_app", "calm_water"]


def test_what_was_typed_stays() -> None:
    steady = Steady("seed", typed=lambda text: text in "run --name calm_joy -p 40123:80 --subnet 172.28.0.0/16")
    text = "calm_joy 0.0.0.0:40123->80/tcp 172.28.0.2/16 02:42:ac:1c:00:02"
    assert steady.text(text) == text
    assert "172.28." not in Steady("seed").text(text)


@pytest.mark.parametrize("second", [18, 26, 31])
def test_subnets_are_renumbered_with_their_addresses(second: int) -> None:
    text = f"172.{second}.0.0/16 172.{second}.3.4 02:42:ac:{second:02x}:03:04"
    assert Steady("seed").text(text) == "172.17.0.0/16 172.17.3.4 02:42:ac:11:03:04"


def test_a_subnet_of_the_second_pool_looks_like_one_of_the_first() -> None:
    text = "192.168.32.0/20 192.168.33.4 192.168.47.255 02:42:c0:a8:21:04; 192.168.0.2/20"
    assert Steady("seed").text(text) == ("172.17.0.0/16 172.17.1.4 172.17.255.255 02:42:ac:11:01:04; 172.18.0.2/16")


def test_kernels_are_told_apart() -> None:
    steady = Steady("seed")
    assert steady.text("one kernel, Linux 6.18.44-fc-v669.") == Steady("seed").text("one kernel, Linux 5.4.0.")
    assert steady.text("Linux 6.18.44-fc-v669 and Linux 6.1.5") == "Linux 6.1.0 and Linux 6.2.0"


def test_what_the_kernel_numbers_is_renumbered_in_the_order_of_its_appearance() -> None:
    def told(inode: int, veth: str, port: int) -> str:
        text = f"network {inode} {inode + 3} {inode}, eth0@if{inode % 7000}, {veth} on {veth[:6]}-0"
        return Steady("seed").text(f"{text}; 0.0.0.0:{port}->80/tcp, [::]:{port}-&gt;80/tcp; 127.0.0.1:{port + 1}/tcp")

    assert told(4026534841, "pdd55dvc4fba1ed", 32771) == told(4026535346, "pd1074v4d247c8c", 32999)
    ports = "0.0.0.0:32768->80/tcp, [::]:32768-&gt;80/tcp; 127.0.0.1:32769/tcp"
    assert ports in told(4026534841, "pdd55dvc4fba1ed", 32771)
    assert Steady("seed").text("127.0.0.1:8080->80/tcp") == "127.0.0.1:8080->80/tcp"  # somebody chose it
    assert Steady("seed").text("port 40001/tcp, tcp . 40001 : 1, 40001 → 80") == (
        "port 32768/tcp, tcp . 32768 : 1, 32768 → 80"
    )


@pytest.mark.parametrize("root", ["/tmp/pd-1/data", "/home/you/.local/share/pydock"])
def test_the_engine_lies_where_it_usually_does(root: str) -> None:
    long = an_id()
    text = f"Docker Root Dir: {root}\nupperdir={root}/containers/{long}/diff,{root}/volumes/x/_data"
    shown = Steady("seed").text(text)
    assert root not in shown
    assert shown.count("/var/lib/pydock") == 3


def test_a_path_of_the_api_stays() -> None:
    text = f"GET /v1.47/containers/{an_id()[:12]}/json /v1.47/volumes/x/_data"
    assert Steady("seed").text(text).startswith("GET /v1.47/containers/")


def test_measured_data_is_the_same_whatever_was_measured() -> None:
    def told(pid: int, start: int) -> Any:
        events = [
            {"at_ns": start, "duration_ns": pid, "text": f"launched: pid {pid}, 55 steps, after {pid}.1 ms"},
            {"at_ns": start + pid, "duration_ns": 5, "processes": [{"pid": pid, "inside": 1}, {"pid": pid + 9}]},
        ]
        return Steady("seed").data(events)

    assert told(812, 10) == told(47_111, 2_000_000)
    first, second = told(812, 10)
    assert first["duration_ns"] == 0
    assert second["at_ns"] > first["at_ns"]
    assert second["processes"] == [{"pid": 1000, "inside": 1}, {"pid": 1001}]
    assert "pid 1000" in first["text"]


def test_a_network_lists_its_containers_by_address() -> None:
    one, two = {"Name": "calm_joy", "IPv4Address": "172.17.0.3/16"}, {"Name": "b", "IPv4Address": "172.17.0.2/16"}
    found = Steady("seed").data({"Containers": {an_id(): one, an_id(): two}})
    assert [each["Name"] for each in found["Containers"].values()] == ["b", "keen_ada"]


def test_columns_have_the_width_of_what_is_shown() -> None:
    table = Table({"Names": "NAMES", "Status": "STATUS", "ID": "ID"}, ("Names", "Status", "ID"), "x")

    def told(name: str, status: str, template: str) -> str:
        rows = [{"Names": name, "Status": status, "ID": an_id()[:12]}]
        return Shown.of(table.result(rows, template=template), Steady("seed")).bundle()["text/plain"]

    for template in ("", "table {{.Status}}\t{{.Names}}", "json"):
        one = told("deft_joy", "Up 2 seconds", template)
        assert one == told("tireless_engelbart", "Up Less than a second", template)
        assert "keen_ada" in one


def test_volumes_without_a_name_stand_last() -> None:
    table = Table({"Name": "VOLUME NAME", "Driver": "DRIVER"}, ("Driver", "Name"), "x")

    def told() -> str:
        names = sorted([secrets.token_hex(32), secrets.token_hex(32), "data", "f00"])
        shown = Shown.of(table.result([{"Driver": "local", "Name": name} for name in names]), Steady("seed"))
        return str(shown.bundle())

    assert len({told() for _ in range(20)}) == 1


def test_a_template_gets_the_numbers_that_are_shown() -> None:
    def told(pid: int) -> str:
        found = inspect_result([{"State": {"Pid": pid}}], "{{.State.Pid}}")
        return repr(Shown.of(found, Steady("seed")))

    assert told(4711) == told(815) == "1000"


def test_records_keep_what_is_real() -> None:
    real = an_id()
    shown = Shown.of(Result(columns=("ID",), rows=[{"ID": real}], text=real), Steady("seed"))
    assert shown[0]["ID"] == str(shown) == real
    assert repr(shown) != real
