"""Reading a json-file log: tail, spans of time, streams, rotation, following."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path

import pytest

from pydock_lab.daemon.engine.containers.filewatch import FileWatch
from pydock_lab.daemon.engine.containers.logs import LogQuery, read_logs
from pydock_lab.daemon.engine.containers.record import Container, Record, State
from pydock_lab.daemon.engine.timestamps import parse_time_ns


def record(number: int, stream: str = "stdout") -> str:
    stamp = f"2024-01-01T00:00:{number % 60:02d}.{number:06d}Z"
    return json.dumps({"log": f"line {number}\n", "stream": stream, "time": stamp}) + "\n"


def container(status: str = "exited") -> Container:
    state = State(status=status)  # type: ignore[arg-type]
    return Container(
        Record(id="0" * 64, name="c", created_ns=0, image_id="", chain_id=None, path="sh", args=[], config={},
               host_config={}, networks={}, mounts=[], state=state)
    )  # fmt: skip


def frames(data: bytes) -> list[tuple[int, str]]:
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length].decode()))
        data = data[8 + length :]
    return found


async def read(path: Path, query: LogQuery) -> list[tuple[int, str]]:
    return frames(b"".join([chunk async for chunk in read_logs(container(), path, query, FileWatch())]))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "x-json.log"
    path.write_text("".join(record(n, "stderr" if n % 3 == 0 else "stdout") for n in range(30)))
    return path


async def test_everything_in_order(log: Path) -> None:
    found = await read(log, LogQuery())
    assert [text for _, text in found] == [f"line {n}\n" for n in range(30)]
    assert [stream for stream, _ in found[:4]] == [2, 1, 1, 2]


async def test_one_stream(log: Path) -> None:
    assert {stream for stream, _ in await read(log, LogQuery(stdout=False))} == {2}


@pytest.mark.parametrize("count", [0, 1, 7, 30, 31, 1000])
async def test_tail(log: Path, count: int) -> None:
    found = await read(log, LogQuery(tail=count))
    assert [text for _, text in found] == [f"line {n}\n" for n in range(max(0, 30 - count), 30)]


async def test_tail_over_rotated_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name, span in (("log.2", range(5)), ("log.1", range(5, 10)), ("log", range(10, 12))):
        (tmp_path / name).write_text("".join(record(n) for n in span))
    assert len(await read(path, LogQuery())) == 12
    assert [text for _, text in await read(path, LogQuery(tail=6))] == [f"line {n}\n" for n in range(6, 12)]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
async def test_tail_of_what_was_there(tmp_path: Path, count: int) -> None:
    """What is written while the log is read is not counted and not shown."""
    path = tmp_path / "log"
    (tmp_path / "log.1").write_text("".join(record(n) for n in range(3)))
    path.write_text("".join(record(n) for n in range(3, 7)))
    end = (path.stat().st_ino, path.stat().st_size)
    with path.open("a") as file:
        file.write(record(7) + record(8))
    found = await read(path, LogQuery(tail=count, end=end))
    assert [text for _, text in found] == [f"line {n}\n" for n in range(max(0, 7 - count), 7)]


async def test_a_span_of_time(log: Path) -> None:
    since, until = parse_time_ns("2024-01-01T00:00:10Z"), parse_time_ns("2024-01-01T00:00:13Z")
    found = await read(log, LogQuery(since_ns=since, until_ns=until))
    assert [text for _, text in found] == ["line 10\n", "line 11\n", "line 12\n"]


async def test_timestamps_have_nine_digits(log: Path) -> None:
    [(_, text)] = await read(log, LogQuery(tail=1, timestamps=True))
    assert text == "2024-01-01T00:00:29.000029000Z line 29\n"


async def test_a_broken_last_line_waits_for_its_end(log: Path) -> None:
    with log.open("a") as file:
        file.write(record(30)[:10])
    assert len(await read(log, LogQuery())) == 30


async def test_following_ends_with_the_container_and_loses_nothing(tmp_path: Path) -> None:
    path, running = tmp_path / "log", container("running")
    path.write_text(record(0))

    async def follow() -> bytes:
        return b"".join([chunk async for chunk in read_logs(running, path, LogQuery(follow=True), FileWatch())])

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    with path.open("a") as file:
        file.write(record(1))
    await asyncio.sleep(0.05)
    path.rename(tmp_path / "log.1")
    path.write_text(record(2))
    await asyncio.sleep(0.1)
    with path.open("a") as file:
        file.write(record(3))
    running.state.status = "exited"
    assert [text for _, text in frames(await task)] == [f"line {n}\n" for n in range(4)]


async def test_no_file_is_no_output(tmp_path: Path) -> None:
    assert await read(tmp_path / "none", LogQuery()) == []
