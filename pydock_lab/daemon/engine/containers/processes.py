"""`docker top`: the host's `ps`, cut down to the processes of one container.

Source: moby daemon/top_unix.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import time
from pathlib import Path
from typing import Any

from pydock_lab.errors import InvalidParameter, SystemFailure

_TITLES = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


async def top(pids: list[int], ps_args: str) -> dict[str, Any]:
    """Return `{"Titles": […], "Processes": [[…]]}`.

    Args:
        pids: The container's processes, as the host numbers them.
        ps_args: What the user wants of ps, `-ef` by default.

    Raises:
        InvalidParameter: ps does not know the arguments, or does not show a PID column.
    """
    arguments = shlex.split(ps_args)
    if any(word.startswith("pid=") for word in " ".join(arguments).lower().replace(",", " ").split() if "=" in word):
        raise InvalidParameter('specifying "pid" with a custom header is not allowed')
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        return {"Titles": list(_TITLES), "Processes": [row for pid in pids if (row := _describe(pid))]}
    output, errors = await process.communicate()
    if process.returncode:
        first = errors.decode(errors="replace").strip().split("\n")[0]
        raise SystemFailure(f"ps: {first}")
    return _select(output.decode(errors="replace"), set(pids))


def _select(output: str, pids: set[int]) -> dict[str, Any]:
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise SystemFailure("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            rows.append(fields)
    return {"Titles": titles, "Processes": rows}


def _describe(pid: int) -> list[str]:
    """Return the columns of `ps -ef` from /proc/PID, on a host without ps; [] when it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text[text.rindex(")") + 2 :].split()
        ticks = os.sysconf("SC_CLK_TCK")
        began = time.time() - float(Path("/proc/uptime").read_text().split()[0]) + int(fields[19]) / ticks
        used_s = (int(fields[11]) + int(fields[12])) // ticks
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        owner = str(Path(f"/proc/{pid}").stat().st_uid)
        clock = time.strftime("%H:%M", time.localtime(began))
        cpu = f"{used_s // 3600:02}:{used_s // 60 % 60:02}:{used_s % 60:02}"
        return [owner, str(pid), fields[1], "0", clock, "?", cpu, command or f"[{text.split('(')[1].split(')')[0]}]"]
    return []
