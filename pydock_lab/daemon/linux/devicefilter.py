"""Device access on cgroup v2: OCI device rules as an eBPF program, assembled here.

The program gets `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32
minor; }` (access in the upper, type in the lower half of access_type) and
answers 1 for yes. The last rule that matches decides, so the rules are tested
in reverse and the first match returns.

Source: bpf(2), Documentation/bpf/standardization/instruction-set.rst,
BPF_PROG_TYPE_CGROUP_DEVICE.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from typing import Any

from pydock_lab.daemon.linux import syscalls

BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2

_ACCESS = {"m": 1, "r": 2, "w": 4}
_TYPES = {"b": 1, "c": 2}

# What a runtime adds to any container's rules: nodes may be made, /dev/full, /dev/ptmx and ptys be used.
RUNTIME_RULES: tuple[dict[str, Any], ...] = (
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"},
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
)

# Opcodes: load a word from memory, move, and, shift right, jump unless equal, exit (64- and 32-bit classes).
_LDX_W, _MOV_REG, _MOV, _AND32, _RSH32, _JNE, _EXIT = 0x61, 0xBF, 0xB7, 0x54, 0x74, 0x55, 0x95


def _instruction(opcode: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, source << 4 | destination, offset, immediate)


def assemble(rules: Sequence[dict[str, Any]]) -> bytes:
    """Return the program for a list of OCI device rules (`allow`, `type`, `major`, `minor`, `access`)."""
    # r2 = type, r3 = access, r4 = major, r5 = minor
    program = [
        _instruction(_LDX_W, 2, 1, 0),
        _instruction(_AND32, 2, immediate=0xFFFF),
        _instruction(_LDX_W, 3, 1, 0),
        _instruction(_RSH32, 3, immediate=16),
        _instruction(_LDX_W, 4, 1, 4),
        _instruction(_LDX_W, 5, 1, 8),
    ]
    for rule in reversed(rules):
        code = _rule(rule)
        program += code
        if len(code) == 2:
            # It matches everything; the verifier refuses code that can't be reached.
            return b"".join(program)
    program += [_instruction(_MOV, 0, immediate=0), _instruction(_EXIT)]
    return b"".join(program)


def _rule(rule: dict[str, Any]) -> list[bytes]:
    """Return the tests of one rule; a failed one jumps behind its answer."""
    tests: list[bytes | int] = []  # an int stands for a jump to be resolved: register << 32 | value
    kind = rule.get("type") or "a"
    if kind in _TYPES:
        tests.append(2 << 32 | _TYPES[kind])
    access = sum(_ACCESS[letter] for letter in set(rule.get("access") or "rwm"))
    if access != 7:
        # Everything that is asked for must be in what the rule speaks of.
        tests += [_instruction(_MOV_REG, 1, 3), _instruction(_AND32, 1, immediate=7 & ~access), 1 << 32]
    for register, key in ((4, "major"), (5, "minor")):
        if rule.get(key) not in (None, -1):
            tests.append(register << 32 | rule[key])
    answer = [_instruction(_MOV, 0, immediate=int(rule["allow"])), _instruction(_EXIT)]
    code = []
    for position, test in enumerate(tests):
        if isinstance(test, int):
            distance = len(tests) - position - 1 + len(answer)
            test = _instruction(_JNE, test >> 32, 0, distance, test & 0xFFFFFFFF)
        code.append(test)
    return code + answer


class prog_load(ctypes.Structure):
    """The part of `union bpf_attr` that BPF_PROG_LOAD reads."""

    _fields_ = [
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
    ]


class prog_attach(ctypes.Structure):
    """The part of `union bpf_attr` that BPF_PROG_ATTACH reads."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("target_fd", "attach_bpf_fd", "attach_type", "attach_flags")]


def attach(directory: str, rules: Sequence[dict[str, Any]]) -> None:
    """Make `rules` (and the runtime's own) hold for a cgroup directory, as long as it exists."""
    if any(rule["allow"] and not rule.get("type") for rule in rules):
        return  # privileged: everything
    program = assemble([*rules, *RUNTIME_RULES])
    code = ctypes.create_string_buffer(program, len(program))
    license_ = ctypes.create_string_buffer(b"Apache-2.0")
    load = prog_load(
        prog_type=BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt=len(program) // 8,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(license_),
    )
    number = syscalls.old_number("bpf")
    fd = syscalls.syscall(number, "bpf(BPF_PROG_LOAD)", BPF_PROG_LOAD, load, ctypes.sizeof(load))
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            target = prog_attach(
                target_fd=cgroup, attach_bpf_fd=fd, attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI
            )
            syscalls.syscall(number, "bpf(BPF_PROG_ATTACH)", BPF_PROG_ATTACH, target, ctypes.sizeof(target))
        finally:
            os.close(cgroup)
    finally:
        os.close(fd)
