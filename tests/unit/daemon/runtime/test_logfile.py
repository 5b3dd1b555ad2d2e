"""The json-file log: what is printed comes back, whatever the chunks; long lines are cut as Docker cuts them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.runtime.logfile import LINE_BYTES, LogFile, Pending


def records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


lines = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30)


@given(texts=st.lists(lines, max_size=30), cuts=st.lists(st.integers(1, 40), max_size=30), last=lines)
def test_what_is_printed_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cuts: list[int], last: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log, pending = LogFile(str(path)), Pending("stdout")
    data = "".join(f"{text}\n" for text in texts).encode() + last.encode()
    rest = data
    for cut in cuts:
        chunk, rest = rest[:cut], rest[cut:]
        log.write(pending, chunk)
    log.write(pending, rest)
    log.flush(pending)
    log.close()
    expected = [f"{text}\n" for text in texts] + ([last] if last else [])
    assert [record["log"] for record in records(path)] == expected


def test_the_format_is_dockers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, pending = LogFile(str(path), attrs={"tag": "x"}), Pending("stderr")
    log.write(pending, b'<a & "b">\\n\n')
    log.close()
    assert re.fullmatch(
        r'\{"log":"\\u003ca \\u0026 \\"b\\"\\u003e\\\\n\\n","stream":"stderr","attrs":\{"tag":"x"\},'
        r'"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"\}\n',
        path.read_text(),
    )


@pytest.mark.parametrize("mark", [b"", b"\\", b"\\\x80", "\\\u0080".encode()])
def test_backslashes_and_the_mark(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "log"
    log, pending = LogFile(str(path)), Pending("stdout")
    log.write(pending, mark + b"\\n\n" + mark + b"\n")
    log.close()
    shown = mark.decode("utf-8", "replace")
    assert [record["log"] for record in records(path)] == [f"{shown}\\n\n", f"{shown}\n"]


@pytest.mark.parametrize("length", [LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES + 5])
@pytest.mark.parametrize("step", [1000, 64 * 1024])
def test_long_lines(tmp_path: Path, length: int, step: int) -> None:
    path = tmp_path / "log"
    log, pending = LogFile(str(path)), Pending("stdout")
    data = b"x" * length + b"\nnext\n"
    for start in range(0, len(data), step):
        log.write(pending, data[start : start + step])
    log.flush(pending)
    log.close()
    logged = [record["log"] for record in records(path)]
    assert "".join(logged) == data.decode()
    assert logged[-1] == "next\n"
    assert all(len(piece) <= LINE_BYTES + 1 for piece in logged)


def test_rotation_keeps_what_it_should(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, pending = LogFile(str(path), max_size=1000, max_file=3), Pending("stdout")
    for number in range(100):
        log.write(pending, f"{number}\n".encode())
    log.close()
    kept = [records(tmp_path / name) for name in ("log.2", "log.1", "log")]
    numbers = [int(record["log"]) for file in kept for record in file]
    assert numbers == list(range(numbers[0], 100))
    assert not (tmp_path / "log.3").exists()
    assert all((tmp_path / name).stat().st_size <= 1000 for name in ("log", "log.1", "log.2"))
