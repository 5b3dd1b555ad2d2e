"""Compile seccomp profiles, in OCI's or in Docker's form, to BPF.

The filter first tells architectures apart, then finds the system call's number
by binary search over ranges of equal action (some ten comparisons; a filter of
one comparison a call would need four hundred).

Data beside this file: `seccomp_default.json`, the policy of Docker's default
profile (moby, Apache-2.0) without the architectures we have no table for;
`syscall_numbers.json`, names and numbers from the kernel's headers.

Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst, OCI
runtime-spec config-linux.md "Seccomp".
"""

from __future__ import annotations

import json
import os
import platform
import struct
from collections.abc import Iterable, Sequence
from typing import Any

Profile = dict[str, Any]
Rule = dict[str, Any]

# struct seccomp_data: nr, arch, instruction_pointer, args[6]
_NR, _ARCH, _ARGS = 0, 4, 16

_LOAD, _AND, _JUMP, _JEQ, _JGT, _JGE, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06

ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
}
EPERM, ENOSYS = 1, 38
_X32_BIT = 0x40000000  # where x32's numbers begin within x86-64's architecture

# OCI's architecture → (column of syscall_numbers.json, AUDIT_ARCH_*). x32 shares x86-64's.
_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000003E),
    "SCMP_ARCH_X32": ("x32", 0xC000003E),
    "SCMP_ARCH_X86": ("x86", 0x40000003),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC00000B7),
}
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "AMD64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_GO_NAMES = {"SCMP_ARCH_X86_64": "amd64", "SCMP_ARCH_AARCH64": "arm64"}

# A user namespace that maps one id: package managers chown, and must be told that it worked.
FAKE_CHOWN: Profile = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": [
                "chown",
                "chown32",
                "fchown",
                "fchown32",
                "fchownat",
                "lchown",
                "lchown32",
                "setgroups",
                "setgroups32",
                "setgid",
                "setgid32",
                "setuid",
                "setuid32",
                "setfsgid",
                "setfsgid32",
                "setfsuid",
                "setfsuid32",
                "setregid",
                "setregid32",
                "setresgid",
                "setresgid32",
                "setresuid",
                "setresuid32",
                "setreuid",
                "setreuid32",
            ],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 0,
        },
        *(
            {
                "names": [name],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 0,
                "args": [{"index": index, "value": 0o170000, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}],
            }
            for name, index in (("mknod", 1), ("mknodat", 2))
            for kind in (0o020000, 0o060000)
        ),
    ],
}


class BadProfile(ValueError):
    """A profile can't be compiled."""


def default_profile() -> Profile:
    """Return the profile of containers that ask for none, in Docker's form."""
    return _data("seccomp_default.json")


def _data(name: str) -> dict[str, Any]:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
        return document


def compile_profile(profile: Profile, capabilities: Iterable[str]) -> bytes:
    """Return the BPF program of a profile, 8 bytes an instruction.

    Args:
        profile: `{"profile": "default"}`, `{"profile": "fake-chown"}`, OCI's `linux.seccomp`, or Docker's form
            with `archMap`, `includes` and `excludes`.
        capabilities: What the container is granted; some rules of Docker's form depend on it.

    Raises:
        BadProfile: an unknown action, operator or architecture.
    """
    named = profile.get("profile")
    if named is not None:
        profile = FAKE_CHOWN if named == "fake-chown" else default_profile()
    native = _NATIVE.get(platform.machine())
    if native is None:
        raise BadProfile(f"no system call table for {platform.machine()}")
    numbers = _data("syscall_numbers.json")
    granted = set(capabilities)
    rules = [rule for rule in profile.get("syscalls") or () if _applies(rule, granted, _GO_NAMES[native])]
    default = _action(profile.get("defaultAction", ""), profile.get("defaultErrnoRet"))
    tables: dict[int, list[dict[str, int]]] = {}
    for name in _architectures(profile, native):
        if name in _ARCHITECTURES:
            column, audit = _ARCHITECTURES[name]
            tables.setdefault(audit, []).append(numbers[column])
    program = [(_LOAD, 0, 0, _ARCH)]
    for audit, columns in tables.items():
        section = _section(rules, columns, default)
        # The section is longer than a conditional jump reaches.
        program += [(_JEQ, 1, 0, audit), (_JUMP, 0, 0, len(section)), *section]
    program.append((_RETURN, 0, 0, KILL_PROCESS))
    if len(program) > 4096:
        raise BadProfile(f"{len(program)} instructions; the kernel takes 4096")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _architectures(profile: Profile, native: str) -> list[str]:
    """Return the architectures a profile covers; the machine's own always."""
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or ())]
    listed = list(profile.get("architectures") or ())
    if not listed and profile is FAKE_CHOWN and native == "SCMP_ARCH_X86_64":
        listed = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    return list(dict.fromkeys([native, *listed]))


def _applies(rule: Rule, capabilities: set[str], architecture: str) -> bool:
    """True if Docker's conditions on a rule hold here."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if architecture in (excludes.get("arches") or ()):
        return False
    if not set(includes.get("caps") or ()) <= capabilities:
        return False
    if set(excludes.get("caps") or ()) & capabilities:
        return False
    if includes.get("minKernel") and _kernel() < _version(includes["minKernel"]):
        return False
    return not (excludes.get("minKernel") and _kernel() >= _version(excludes["minKernel"]))


def _kernel() -> tuple[int, int]:
    return _version(platform.release())


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    minor = "".join(character for character in rest.partition(".")[0] if character.isdigit())
    return int(major), int(minor or 0)


def _action(name: str, errno: int | None) -> int:
    """Return the filter's return value of an action."""
    if name not in _ACTIONS:
        raise BadProfile(f"unknown seccomp action {name!r}")
    value = _ACTIONS[name]
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        value |= EPERM if errno is None else errno
    return value


Instruction = tuple[int, int, int, int]
Code = list[Instruction]


def _section(rules: Sequence[Rule], columns: Sequence[dict[str, int]], default: int) -> Code:
    """Return the code of one architecture: number → action."""
    otherwise: Code = [(_RETURN, 0, 0, default)]
    # A range is named by its first number and goes on until the next one begins.
    starts: dict[int, Code] = {0: otherwise}
    for numbers in columns:
        by_number: dict[int, list[Rule]] = {}
        for rule in rules:
            for name in rule["names"] if "names" in rule else [rule["name"]]:
                if name in numbers:
                    by_number.setdefault(numbers[name], []).append(rule)
        for number in sorted(by_number):
            starts[number] = _decision(by_number[number], default)
            starts[number + 1] = otherwise
        if by_number and default & 0xFFFF0000 == ERRNO:
            # Newer calls than any the profile names do not exist here, as with runc: libraries
            # then fall back to older ones, which they do not do at EPERM.
            starts[max(by_number) + 1] = [(_RETURN, 0, 0, ERRNO | ENOSYS)]
            starts.setdefault(_X32_BIT, otherwise)
    ranges: list[tuple[int, Code]] = []
    for number in sorted(starts):
        if not ranges or ranges[-1][1] != starts[number]:
            ranges.append((number, starts[number]))
    return [(_LOAD, 0, 0, _NR), *_search(ranges)]


def _search(ranges: Sequence[tuple[int, Code]]) -> Code:
    """Return a binary search over ranges, each named by its first number."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    if len(below) <= 255:
        return [(_JGE, len(below), 0, ranges[middle][0]), *below, *above]
    return [(_JGE, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _decision(rules: Sequence[Rule], default: int) -> Code:
    """Return the code that decides over one system call."""
    code: Code = []
    final = default
    for rule in rules:
        action = _action(rule["action"], rule.get("errnoRet"))
        if not rule.get("args"):
            final = action
            continue
        tests = [_test(argument) for argument in rule["args"]]
        # A failed test leaves the rule: past the rest of its tests and its return.
        remaining = sum(map(len, tests)) + 1
        for test in tests:
            for position, (operation, yes, no, value) in enumerate(test):
                distance = remaining - position - 1
                code.append(
                    (
                        operation,
                        distance if yes == _FAIL else yes,
                        distance if no == _FAIL else no,
                        value,
                    )
                )
            remaining -= len(test)
        code.append((_RETURN, 0, 0, action))
    return [*code, (_RETURN, 0, 0, final)]


_FAIL = -1


def _test(argument: dict[str, Any]) -> Code:
    """Return the comparison of one 64-bit argument; jumps to _FAIL leave the rule, the end is success."""
    offset = _ARGS + 8 * argument["index"]
    low, high = (offset, offset + 4) if struct.pack("=H", 1) == b"\1\0" else (offset + 4, offset)
    operator, value, second = argument["op"], argument["value"], argument.get("valueTwo", 0)
    value_high, value_low = value >> 32 & 0xFFFFFFFF, value & 0xFFFFFFFF
    load_high, load_low = (_LOAD, 0, 0, high), (_LOAD, 0, 0, low)
    if operator == "SCMP_CMP_MASKED_EQ":
        second_high, second_low = second >> 32 & 0xFFFFFFFF, second & 0xFFFFFFFF
        return [
            load_high,
            (_AND, 0, 0, value_high),
            (_JEQ, 0, _FAIL, second_high),
            load_low,
            (_AND, 0, 0, value_low),
            (_JEQ, 0, _FAIL, second_low),
        ]
    if operator == "SCMP_CMP_EQ":
        return [load_high, (_JEQ, 0, _FAIL, value_high), load_low, (_JEQ, 0, _FAIL, value_low)]
    if operator == "SCMP_CMP_NE":
        return [load_high, (_JEQ, 0, 2, value_high), load_low, (_JEQ, _FAIL, 0, value_low)]
    if operator in ("SCMP_CMP_GT", "SCMP_CMP_GE"):
        compare = _JGT if operator == "SCMP_CMP_GT" else _JGE
        return [
            load_high,
            (_JGT, 3, 0, value_high),
            (_JEQ, 0, _FAIL, value_high),
            load_low,
            (compare, 0, _FAIL, value_low),
        ]
    if operator in ("SCMP_CMP_LT", "SCMP_CMP_LE"):
        compare = _JGE if operator == "SCMP_CMP_LT" else _JGT
        return [
            load_high,
            (_JGT, _FAIL, 0, value_high),
            (_JEQ, 0, 2, value_high),
            load_low,
            (compare, _FAIL, 0, value_low),
        ]
    raise BadProfile(f"unknown seccomp operator {operator!r}")
