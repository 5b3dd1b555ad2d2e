"""Bad input: each is refused with its line or its path, and nothing of it is left."""

import io
import json
import tarfile
from typing import Any

import pytest

from tests.api.test_build import request, wait_for
from tests.conftest import Daemon

pytestmark = pytest.mark.usefixtures("busybox")


def pack(dockerfile: bytes, *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for entry, content in ((tarfile.TarInfo("Dockerfile"), dockerfile), *members):
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry, b""


def said(daemon: Daemon, body: bytes) -> tuple[str, str]:
    """The error's message, and that of the record."""
    status, headers, answer = request(daemon, "POST", "/build?nocache=1&forcerm=1", body)
    last: dict[str, Any] = json.loads(answer.split(b"\r\n")[-2] if status == 200 else answer)
    if "x-pydock-build" in headers:
        record = json.loads(request(daemon, "GET", f"/lab/builds/{headers['x-pydock-build']}")[2])
        assert record["state"] == "failed"
    return str(last.get("error") or last["message"]), str(status)


CASES = {
    "unknown instruction": (
        b"FROM busybox\n\nFETCH x\n",
        "dockerfile parse error on line 3: unknown instruction: FETCH",
    ),
    "heredoc": (b"FROM busybox\nRUN <<EOF\necho\n", "dockerfile parse error on line 2: unterminated heredoc"),
    "not UTF-8": (b"FROM busybox\nRUN echo \xff\n", "dockerfile parse error on line 2: invalid UTF-8"),
    "10 MB line": (
        b"FROM busybox\nRUN " + b"x" * 10_000_000 + b"\n",
        "dockerfile parse error on line 2: dockerfile line greater than max allowed size of 65535",
    ),
    "itself": (
        b"FROM busybox AS a\nCOPY --from=a /x /x\n",
        "dockerfile parse error on line 2: circular dependency detected on stage: a",
    ),
    "each other": (
        b"FROM busybox AS a\nCOPY --from=b /x /x\nFROM busybox AS b\nCOPY --from=a /x /x\n",
        "dockerfile parse error on line 2: circular dependency detected on stage: b",
    ),
    "unknown stage": (b"FROM busybox\nCOPY --from=nowhere /x /x\n", "invalid from flag value nowhere: "),
    "dots": (
        b"FROM busybox\nCOPY ../../etc/passwd /x\n",
        "COPY failed: forbidden path outside the build context: ../../",
    ),
    "no mount": (b"FROM busybox\nRUN --mount=kind=x true\n", "dockerfile parse error on line 2: unexpected key 'kind'"),
    "mounted dots": (
        b"FROM busybox\nRUN --mount=source=../..,target=/x true\n",
        "forbidden path outside the build context: ../..",
    ),
}


@pytest.mark.parametrize(("dockerfile", "message"), CASES.values(), ids=CASES)
def test_dockerfiles(daemon: Daemon, dockerfile: bytes, message: str) -> None:
    assert said(daemon, pack(dockerfile))[0].startswith(message)
    wait_for(lambda: not list((daemon.data_root / "tmp").glob("build-*")), "scratch directories stayed")


def test_a_link_does_not_lead_out_of_the_context(daemon: Daemon) -> None:
    message, _ = said(daemon, pack(b"FROM busybox\nCOPY out/hostname /x\n", link("out", "/etc")))
    assert message.startswith(
        "COPY failed: file not found in build context or excluded by .dockerignore: stat out/host"
    )
    mounted = b"FROM busybox\nRUN --mount=source=up/etc,target=/x ls /x\n"
    assert "file does not exist" in said(daemon, pack(mounted, link("up", "../../../../..")))[0]


def test_a_tar_that_leads_out(daemon: Daemon) -> None:
    message, status = said(daemon, pack(b"FROM busybox\n", (tarfile.TarInfo("../../evil"), b"x")))
    assert status == "400"
    assert 'invalid tar entry: "../../evil" is outside of' in message


def test_an_archive_that_writes_through_a_link(daemon: Daemon) -> None:
    evil = pack(b"", link("l", "/"), (tarfile.TarInfo("l/evil-file"), b"x"))
    status, headers, _ = request(
        daemon,
        "POST",
        "/build?forcerm=1&t=evil",
        pack(b"FROM scratch\nADD a.tar /x/\n", (tarfile.TarInfo("a.tar"), evil)),
    )
    assert status == 200
    record = json.loads(request(daemon, "GET", f"/lab/builds/{headers['x-pydock-build']}")[2])
    if record["state"] == "succeeded":
        # Inside the image a link may lead to the image's root, never to the host's.
        daemon.docker("rmi", "evil")
    assert not list(daemon.root.glob("evil-file"))
    with pytest.raises(FileNotFoundError):
        open("/evil-file")  # noqa: SIM115
