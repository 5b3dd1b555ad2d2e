"""Outputs that can be compared: ids and clocks."""

from __future__ import annotations

import secrets

from pydock_lab.notebook.steady import Steady


def test_without_a_seed_nothing_changes() -> None:
    text = f"{secrets.token_hex(32)} 3 seconds ago"
    assert Steady().text(text) == text


def test_ids_are_renumbered_in_the_order_of_their_appearance() -> None:
    def told() -> str:
        one, two = f"a{secrets.token_hex(32)[1:]}", f"b{secrets.token_hex(32)[1:]}"  # twelve digits are no id
        steady = Steady("seed")
        return steady.text(f"{one}\nsha256:{two} {one[:12]}") + steady.text(f"<code>{two[:12]}</code>")

    assert told() == told()


def test_short_and_long_form_of_an_id_stay_one_id() -> None:
    real = "ab" * 32
    long, short = Steady("seed").text(f"{real} {real[:12]}").split()
    assert long != real
    assert long.startswith(short)


def test_clocks_are_left_vague() -> None:
    steady = Steady("seed")
    assert steady.text("Up 3 minutes") == steady.text("Up Less than a second")
    assert steady.text("2 hours ago") == steady.text("About a minute ago")
    assert steady.text("2026-11-23T19:22:08.123456789Z") == steady.text("2025-01-02T03:04:05Z")
    assert steady.text("took 1.2 s") == steady.text("took 30 ms")


def test_what_only_looks_like_an_id_stays() -> None:
    text = "127.0.0.1:5000 123456789012 deadbeef notes-app:1.0 abcdefabcdef-x"
    assert Steady("seed").text(text) == text


def test_names_that_the_engine_made_up_are_replaced_in_the_order_of_their_appearance() -> None:
    def told(*names: str) -> list[str]:
        steady = Steady("seed")
        for name in names:
            steady.know_name(name)
        return [steady.text(name) for name in names]

    assert told("sad_newton", "my-web", "odd_bohr1") == told("mad_fermi", "my-web", "big_hertz")
    assert told("my-web") == ["my-web"]


def test_the_numbers_that_a_machine_gives_are_left_vague() -> None:
    steady = Steady("seed")
    assert steady.text("pid 1 inside, 812 outside") == steady.text("pid 1 inside, 4711 outside")
    assert steady.text("one kernel, Linux 6.18.44-fc-v669.") == Steady("seed").text("one kernel, Linux 5.4.0.")
    assert steady.text("Linux 6.18.44-fc-v669 and Linux 6.1.5") == "Linux 6.1.0 and Linux 6.2.0"


def test_what_the_kernel_numbers_is_renumbered_in_the_order_of_its_appearance() -> None:
    def told(inode: int, veth: str, port: int) -> str:
        text = f"pid {inode % 7000 + 10}, network {inode} {inode + 3} {inode}, eth0, {veth} on {veth[:6]}-0"
        return Steady("seed").text(f"{text}; 0.0.0.0:{port}->80/tcp, [::]:{port}-&gt;80/tcp; 127.0.0.1:{port + 1}/tcp")

    assert told(4026534841, "pdd55dvc4fba1ed", 32771) == told(4026535346, "pd1074v4d247c8c", 32999)
    ports = "0.0.0.0:32768->80/tcp, [::]:32768-&gt;80/tcp; 127.0.0.1:32769/tcp"
    assert ports in told(4026534841, "pdd55dvc4fba1ed", 32771)
    assert Steady("seed").text("127.0.0.1:8080->80/tcp") == "127.0.0.1:8080->80/tcp"  # somebody chose it
