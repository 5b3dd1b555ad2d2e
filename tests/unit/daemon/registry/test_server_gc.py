"""Garbage collection: what manifests reach stays, the rest goes, and not what is on its way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from pydock_lab.daemon.registry import server_gc
from pydock_lab.daemon.registry.__main__ import main
from pydock_lab.daemon.registry.server_gc import collect
from pydock_lab.daemon.registry.server_storage import RegistryStorage
from pydock_lab.spec import media_types
from tests.unit.daemon.registry.test_server import digest, http, push_blob, push_image

__all__ = ["http"]


async def test_what_no_manifest_names_goes(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    kept, _ = await push_image(http, "team/app", "1")
    lost = await push_blob(http, "team/app", b"nobody's")
    other = await push_blob(http, "team/other", b"nobody's")
    assert lost == other
    assert collect(tmp_path).blobs == [], "an image may be on its way"
    told = collect(tmp_path, dry_run=True, grace_s=0)
    async with http.head(f"/v2/team/app/blobs/{lost}") as response:
        assert response.status == 200
    swept = collect(tmp_path, grace_s=0)
    assert swept == told
    assert (swept.blobs, swept.freed_bytes, swept.manifests) == ([lost], 8, [])
    async with http.head(f"/v2/team/app/blobs/{lost}") as response:
        assert response.status == 404
    async with http.get(f"/v2/team/app/blobs/{digest(b'layer')}") as response:
        assert await response.read() == b"layer"
    assert collect(tmp_path, grace_s=0) == type(swept)()
    async with http.delete(f"/v2/team/app/manifests/{kept}") as response:
        assert response.status == 202
    assert len(collect(tmp_path, grace_s=0).blobs) == 2
    assert not list((tmp_path / "blobs").iterdir())


async def test_what_a_push_counts_on_stays(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    blobs = (b"found", b"mounted", b"again", b"nobody's")
    found, mounted, again, nobody = [await push_blob(http, "app", blob) for blob in blobs]
    async with http.post("/v2/app/blobs/uploads/") as response:
        upload = response.headers["Location"]
    async with http.patch(upload, data=b"on its ") as response:
        assert response.status == 202
    time.sleep(0.3)
    async with http.head(f"/v2/app/blobs/{found}") as response:
        assert response.status == 200
    async with http.post(f"/v2/app/blobs/uploads/?mount={mounted}&from=app") as response:
        assert response.status == 201
    await push_blob(http, "app", b"again")
    swept = collect(tmp_path, grace_s=0.2)
    assert swept.blobs == [nobody]
    whole = digest(b"on its way")
    async with http.put(f"{upload}?digest={whole}", data=b"way") as response:
        assert response.status == 201
    for blob, status in ((found, 200), (mounted, 200), (again, 200), (whole, 200), (nobody, 404)):
        async with http.head(f"/v2/app/blobs/{blob}") as response:
            assert response.status == status


async def test_a_blob_that_is_asked_for_while_collecting_stays(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await push_blob(http, "app", b"late")
    time.sleep(0.05)
    find = server_gc._repositories

    def find_then_ask(root: Path) -> Iterator[object]:
        yield from find(root)
        RegistryStorage(tmp_path).renew("app", blob)  # another process's registry

    monkeypatch.setattr(server_gc, "_repositories", find_then_ask)
    assert collect(tmp_path, grace_s=0).blobs == []
    async with http.head(f"/v2/app/blobs/{blob}") as response:
        assert response.status == 200


async def test_manifests_without_a_tag(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    old, _ = await push_image(http, "app", "1", annotations={"number": "one"})
    new, raw = await push_image(http, "app", "1", annotations={"number": "two"})
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": new, "size": len(raw)}
    signature, _ = await push_image(http, "app", "", subject=subject, artifactType="application/signature")
    assert collect(tmp_path, grace_s=0).manifests == []
    assert collect(tmp_path, delete_untagged=True).manifests == [], "an index may be on its way"
    swept = collect(tmp_path, delete_untagged=True, grace_s=0)
    assert swept.manifests == [f"app@{old}"], "what refers to a tagged manifest stays with it"
    for reference, status in ((old, 404), (new, 200), (signature, 200), ("1", 200)):
        async with http.head(f"/v2/app/manifests/{reference}") as response:
            assert response.status == status


async def test_the_command(http: aiohttp.ClientSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = await push_blob(http, "app", b"lost")
    assert main(["gc", "--root", str(tmp_path), "--grace", "0", "--dry-run"]) == 0
    assert main(["gc", "--root", str(tmp_path), "--grace", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    total = "0 manifests, 1 blobs, 4 bytes"
    assert lines == [f"would be deleted: {lost}", total, f"deleted: {lost}", total]
    assert main(["gc", "--root", str(tmp_path / "nosuch")]) == 1
