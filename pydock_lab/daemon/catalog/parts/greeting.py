"""hello-world: a program without a libc, as Docker's own; written byte by byte.

The whole program is two system calls, write(1, text) and exit(0), behind the
smallest ELF header the kernel accepts. Source: elf(5), syscall(2).
"""

from __future__ import annotations

import platform
import struct

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.errors import Unavailable

GREETING = """
Hello from Docker!
This message shows that your installation appears to be working correctly.

To generate this message, pydock_lab took the steps that Docker takes:
 1. The client contacted the daemon over its unix socket.
 2. The daemon looked for the "hello-world" image. No registry was asked or none
    answered, so it assembled a stand-in for the image on this machine.
 3. The daemon created a new container from that image, which ran the
    executable that produced the output you are reading.
 4. The daemon streamed that output to the client, which sent it to you.

To try something more ambitious, run a shell in a container:
 $ docker run -it alpine sh

"""

_BASE = 0x400000
_EHDR_SIZE, _PHDR_SIZE = 64, 56
_EM = {"x86_64": 62, "aarch64": 183}


def add_greeting(tree: RootTree, host: Host) -> dict[str, str]:
    """Add `/hello`."""
    machine = platform.machine()
    if machine not in _EM:
        raise Unavailable(f"the hello-world stand-in has no program for {machine}")
    tree.file("/hello", program(GREETING.encode(), machine), 0o755)
    return {}


def program(text: bytes, machine: str) -> bytes:
    """Return an ELF executable that prints `text`; `machine` as uname(2) names it."""
    entry = _EHDR_SIZE + _PHDR_SIZE
    length = len(_code(machine, 0, len(text)))
    code = _code(machine, _BASE + entry + length, len(text))
    size = entry + length + len(text)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, _EM[machine], 1, _BASE + entry, _EHDR_SIZE, 0, 0, _EHDR_SIZE, _PHDR_SIZE, 1, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + load + code + text


def _code(machine: str, address: int, length: int) -> bytes:
    if machine == "x86_64":
        instructions = (
            struct.pack("<BI", 0xBF, 1),  # mov edi, 1
            struct.pack("<BI", 0xBE, address),  # mov esi, text
            struct.pack("<BI", 0xBA, length),  # mov edx, length
            struct.pack("<BI", 0xB8, 1),  # mov eax, SYS_write
            b"\x0f\x05",  # syscall
            b"\x31\xff",  # xor edi, edi
            struct.pack("<BI", 0xB8, 60),  # mov eax, SYS_exit
            b"\x0f\x05",  # syscall
        )
        return b"".join(instructions)

    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def movk_16(register: int, value: int) -> int:
        return 0xF2A00000 | value << 5 | register

    supervisor_call = 0xD4000001
    words = (
        movz(0, 1),
        movz(1, address & 0xFFFF),
        movk_16(1, address >> 16),
        movz(2, length),
        movz(8, 64),  # SYS_write
        supervisor_call,
        movz(0, 0),
        movz(8, 93),  # SYS_exit
        supervisor_call,
    )
    return struct.pack(f"<{len(words)}I", *words)
