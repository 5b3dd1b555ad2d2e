"""The tar format against Python's own tarfile, and against what is wrong."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import tarformat
from pydock_lab.spec.tarformat import Entry, TarReader
from tests.unit.daemon.store.conftest import make_tar

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: not name.endswith("/")
)


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    reader = TarReader(io.BytesIO(data))
    found = [(entry, b"".join(reader.content())) for entry in reader]
    reader.finish()
    return found


@given(
    NAMES,
    NAMES,
    st.integers(0, 2**32 - 1),
    st.integers(-(10**9), 2**40),
    st.dictionaries(st.sampled_from(["user.a", "security.capability"]), st.binary(max_size=40)),
)
def test_what_is_encoded_is_read_back(name: str, target: str, uid: int, mtime: int, xattrs: dict[str, bytes]) -> None:
    entry = Entry(name, tarformat.SYMLINK, 0o777, uid, 7, 0, max(mtime, 0) * 10**9, target, xattrs=xattrs)
    [(found, content)] = read(tarformat.encode(entry) + tarformat.END)
    assert (found, content) == (entry, b"")


@given(NAMES, st.binary(max_size=2000))
def test_tarfile_reads_what_is_encoded(name: str, content: bytes) -> None:
    data = tarformat.encode(Entry(name, size=len(content), mtime_ns=10**9)) + content
    data += bytes(-len(content) % 512) + tarformat.END
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        [member] = tar.getmembers()
        assert (member.name, member.size, member.mtime) == (name, len(content), 1)
        file = tar.extractfile(member)
        assert file is not None
        assert file.read() == content


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tarfile_is_read(tar_format: int) -> None:
    name = "d" * 90 + "/" + "f" * 80
    info = tarfile.TarInfo()
    info.uid, info.mtime, info.mode = 1000, 1234567890, 0o4755
    [(entry, content), (other, _)] = read(make_tar((name, b"abc"), ("x", info), tar_format=tar_format))
    assert (entry.name, content) == (name, b"abc")
    assert (other.uid, other.mtime_ns, other.mode) == (1000, 1234567890 * 10**9, 0o4755)


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax"], ["--format=pax", "--sparse-version=0.1"]])
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: list[str]) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for number in range(12):
            file.seek(number * 200_000)
            file.write(b"x" * 5000)
        file.truncate(5_000_000)
    packed = subprocess.run(
        ["tar", "-C", str(tmp_path), "--sparse", *options, "-cf", "-", "sparse"], capture_output=True, check=True
    ).stdout
    assert len(packed) < 200_000
    [(entry, content)] = read(packed)
    assert (entry.name, entry.size, entry.type) == ("sparse", 5_000_000, tarformat.REGULAR)
    rebuilt = bytearray(entry.size)
    for offset, length in entry.segments:
        rebuilt[offset : offset + length], content = content[:length], content[length:]
    assert bytes(rebuilt) == (tmp_path / "sparse").read_bytes()


@given(st.binary(max_size=3000))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(InvalidParameter):
        read(data)


@given(st.integers(0, 2047), st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_harmless(position: int, value: int) -> None:
    data = bytearray(make_tar(("a" * 120, b"content"), ("b", None)))
    data[position % len(data)] = value
    with contextlib.suppress(InvalidParameter):
        read(bytes(data))


def test_the_last_padding_may_be_missing() -> None:
    """As in the context of `docker build -f OUTSIDE CONTEXT`; Go's reader takes it."""
    data = make_tar(("a", b"x" * 1000))
    assert [content for _, content in read(data[: 512 + 1000])] == [b"x" * 1000]


def test_a_cut_archive_is_refused() -> None:
    data = make_tar(("a", b"x" * 1000))
    for cut in (100, 600, 1100):
        with pytest.raises(InvalidParameter, match="unexpected EOF"):
            read(data[:cut])


def test_a_huge_extension_is_not_read_into_memory() -> None:
    header = bytearray(tarformat.encode(Entry("x", "x", size=1 << 30)))
    with pytest.raises(InvalidParameter, match="too long"):
        read(bytes(header))


def test_every_byte_that_is_no_content_is_recorded_in_order() -> None:
    data = make_tar(("a", b"x" * 700), ("long" * 50, b"y" * 10), ("d", None)) + bytes(5120)
    recorded: list[bytes] = []
    reader = TarReader(io.BytesIO(data), recorded.append)
    for _ in reader:
        recorded += list(reader.content())
    reader.finish()
    assert b"".join(recorded) == data


def test_numbers_that_no_kernel_takes_are_refused() -> None:
    for entry in (Entry("x", uid=1 << 32), Entry("x", gid=-2), Entry("x", "3", major=1 << 20)):
        with pytest.raises(InvalidParameter, match="invalid tar header"):
            read(tarformat.encode(entry))
    [(entry, _)] = read(tarformat.encode(Entry("x", mtime_ns=10**27)))
    assert entry.settable_ns == 2**34 * 10**9
