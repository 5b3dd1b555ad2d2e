"""Seccomp programs, run by a small BPF interpreter: the decisions are the profile's."""

from __future__ import annotations

import json
import platform
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.linux import capabilities, seccomp

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are x86-64's")

X86_64, X86 = 0xC000003E, 0x40000003
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
NUMBERS: dict[str, dict[str, int]] = json.loads(Path(seccomp.__file__).with_name("syscall_numbers.json").read_text())


def decide(program: bytes, number: int, arch: int = X86_64, *arguments: int) -> int:
    """Run a filter as the kernel would."""
    code = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    accumulator = position = 0
    while True:
        operation, yes, no, value = code[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x05:
            position += value
        elif operation == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}[operation]
            position += yes if holds else no


def named(program: bytes, name: str, *arguments: int) -> int:
    return decide(program, NUMBERS["x86_64"][name], X86_64, *arguments)


@pytest.fixture(scope="module")
def default() -> bytes:
    return seccomp.compile_profile({"profile": "default"}, capabilities.DOCKER_DEFAULT)


def test_default_profile(default: bytes) -> None:
    for name in ("read", "openat2", "chown", "mknod", "chroot", "ptrace", "clock_gettime", "futex_waitv"):
        assert named(default, name) == ALLOW, name
    for name in ("mount", "unshare", "setns", "bpf", "keyctl", "add_key", "reboot", "init_module", "io_uring_setup"):
        assert named(default, name) == EPERM, name
    assert named(default, "clone", 0x003D0F00) == ALLOW
    assert named(default, "clone", 0x10000000) == EPERM
    assert named(default, "clone3") == ENOSYS
    assert named(default, "socket", 2) == ALLOW
    assert named(default, "socket", 40) == EPERM
    assert [named(default, "personality", value) for value in (0, 8, 9)] == [ALLOW, ALLOW, EPERM]
    assert named(default, "personality", 1 << 32) == EPERM


def test_other_architectures(default: bytes) -> None:
    assert decide(default, NUMBERS["x86"]["read"], X86) == ALLOW
    assert decide(default, NUMBERS["x86"]["mount"], X86) == EPERM
    assert decide(default, NUMBERS["x32"]["read"]) == ALLOW
    assert decide(default, 0, 0xC00000B7) == KILL


def test_calls_from_the_future_do_not_exist(default: bytes) -> None:
    assert decide(default, 900) == ENOSYS


def test_capabilities_open_calls() -> None:
    program = seccomp.compile_profile({"profile": "default"}, capabilities.combine(["SYS_ADMIN"]))
    assert named(program, "mount") == ALLOW
    assert named(program, "clone", 0x10000000) == ALLOW


def test_fake_chown_says_yes() -> None:
    program = seccomp.compile_profile({"profile": "fake-chown"}, [])
    assert named(program, "fchownat") == 0x50000
    assert named(program, "mknod", 0, 0o020666) == 0x50000
    assert named(program, "mknod", 0, 0o100666) == ALLOW
    assert named(program, "read") == ALLOW


OPERATORS = {
    "SCMP_CMP_EQ": lambda argument, value: argument == value,
    "SCMP_CMP_NE": lambda argument, value: argument != value,
    "SCMP_CMP_LT": lambda argument, value: argument < value,
    "SCMP_CMP_LE": lambda argument, value: argument <= value,
    "SCMP_CMP_GT": lambda argument, value: argument > value,
    "SCMP_CMP_GE": lambda argument, value: argument >= value,
}
words = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(2**32 - 2, 2**32 + 2))


@given(operator=st.sampled_from(sorted(OPERATORS)), argument=words, value=words, index=st.integers(0, 5))
def test_comparisons_of_64_bits(operator: str, argument: int, value: int, index: int) -> None:
    rule = {"index": index, "value": value, "op": operator}
    program = seccomp.compile_profile(profile([rule]), [])
    arguments = [0] * 6
    arguments[index] = argument
    assert (named(program, "read", *arguments) == ALLOW) is OPERATORS[operator](argument, value)


@given(argument=words, mask=words, value=words)
def test_masked_comparison(argument: int, mask: int, value: int) -> None:
    rule = {"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
    program = seccomp.compile_profile(profile([rule]), [])
    assert (named(program, "read", argument) == ALLOW) is (argument & mask == value)


@given(st.sets(st.sampled_from(sorted(NUMBERS["x86_64"])), max_size=60))
def test_search_finds_each_call(names: set[str]) -> None:
    rules = [{"names": sorted(names), "action": "SCMP_ACT_ALLOW"}]
    program = seccomp.compile_profile({"defaultAction": "SCMP_ACT_LOG", "syscalls": rules}, [])
    for name in NUMBERS["x86_64"]:
        assert (named(program, name) == ALLOW) is (name in names)


def profile(arguments: list[dict[str, Any]]) -> dict[str, Any]:
    rules = [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": arguments}]
    return {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": rules}


@pytest.mark.parametrize(
    "bad",
    [
        {"defaultAction": "SCMP_ACT_MAYBE"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "nonsense"}]},
        profile([{"index": 0, "value": 0, "op": "SCMP_CMP_ROUGHLY"}]),
    ],
)
def test_bad_profiles(bad: dict[str, Any]) -> None:
    with pytest.raises(seccomp.BadProfile):
        seccomp.compile_profile(bad, [])
