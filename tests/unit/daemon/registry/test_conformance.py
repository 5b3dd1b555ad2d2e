"""Cases of the distribution-spec's conformance suite (1.1) that no other test here comes by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import aiohttp
import pytest

from pydock_lab.spec import media_types
from tests.unit.daemon.registry.test_server import code, digest, http, push_blob, push_image

__all__ = ["http"]

MISSING = digest(b"nobody has this")
IMAGE = {"Content-Type": media_types.OCI_MANIFEST}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [f"blobs/{MISSING}", f"manifests/{MISSING}", "manifests/nosuch"])
async def test_what_is_not_there(http: aiohttp.ClientSession, method: str, path: str) -> None:
    await push_image(http, "app", "1")
    async with http.request(method, f"/v2/app/{path}") as response:
        assert response.status == 404
        if method == "GET":
            [error] = json.loads(await response.read())["errors"]
            assert {"code", "message"} <= set(error) <= {"code", "message", "detail"}


async def test_chunks_out_of_order_change_nothing(http: aiohttp.ClientSession) -> None:
    async with http.post("/v2/app/blobs/uploads/") as response:
        place = response.headers["Location"]
    steps = [
        ("PATCH", "5-9", b"world", 416), ("PATCH", "0-4", b"hello", 202), ("PATCH", "0-4", b"hello", 416),
        ("PUT", "9-13", b"again", 416), ("PUT", "5-9", b"world", 201),
    ]  # fmt: skip
    blob = digest(b"helloworld")
    for method, content_range, data, status in steps:
        query = f"?digest={blob}" if method == "PUT" else ""
        async with http.request(method, place + query, data=data, headers={"Content-Range": content_range}) as response:
            assert response.status == status
            place = response.headers["Location"]
    async with http.get(place) as response:
        assert await response.read() == b"helloworld"


async def test_odd_blobs(http: aiohttp.ClientSession) -> None:
    empty = await push_blob(http, "app", b"")
    async with http.get(f"/v2/app/blobs/{empty}") as response:
        assert (response.status, await response.read()) == (200, b"")
    blob = await push_blob(http, "app", b"0123456789")
    for asked, status, data in (("bytes=-3", 206, b"789"), ("bytes=7-", 206, b"789"), ("bytes=50-", 416, None)):
        async with http.get(f"/v2/app/blobs/{blob}", headers={"Range": asked}) as response:
            assert response.status == status
            assert data is None or await response.read() == data
    async with http.post(f"/v2/other/blobs/uploads/?mount={blob}") as response:
        assert response.status == 202, "from nowhere: the client has to send it"
    async with http.put(f"/v2/app/blobs/uploads/nosuch?digest={blob}", data=b"0123456789") as response:
        assert response.status == 404


async def test_odd_manifests(http: aiohttp.ClientSession) -> None:
    index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
    await push_image(http, "app", "1")
    foreign = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": MISSING, "size": 1}
    await push_image(http, "app", "no-layers", layers=[])
    await push_image(http, "app", "elsewhere", layers=[{**foreign, "urls": ["http://example.com/layer"]}])
    await push_image(http, "app", "fields", **{"com.example.more": {"than": "the spec"}})
    async with http.put(
        "/v2/app/manifests/empty", json=index, headers={"Content-Type": media_types.OCI_INDEX}
    ) as response:
        assert response.status == 201
    for tags in ("?n=0", "?last=zzz"):
        async with http.get(f"/v2/app/tags/list{tags}") as response:
            assert (response.status, (await response.json())["tags"]) == (200, [])
    async with http.delete("/v2/app/manifests/nosuch") as response:
        assert response.status == 404


async def test_an_index_refers_to_an_image_and_a_subject_may_come_later(http: aiohttp.ClientSession) -> None:
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": MISSING, "size": 5}
    index = {
        "schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [], "subject": subject,
        "artifactType": "application/list", "annotations": {"a": "b"},
    }  # fmt: skip
    raw = json.dumps(index).encode()
    headers = {"Content-Type": media_types.OCI_INDEX}
    async with http.put(f"/v2/app/manifests/{digest(raw)}", data=raw, headers=headers) as response:
        assert (response.status, response.headers["OCI-Subject"]) == (201, MISSING)
    async with http.get(f"/v2/app/referrers/{MISSING}") as response:
        [found] = (await response.json(content_type=None))["manifests"]
    assert (found["artifactType"], found["annotations"]) == ("application/list", {"a": "b"})
    assert found["digest"] == digest(raw)
    async with http.get("/v2/app/referrers/nonsense") as response:
        assert response.status == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"layers": 5}, {"layers": {}}, {"layers": [{"digest": 5}]}, {"manifests": 5}, {"config": None},
        {"layers": [{"digest": MISSING, "size": -1}]}, {"subject": {}}, {"annotations": {"a": 5}},
    ],
    ids=str,
)  # fmt: skip
async def test_manifests_of_odd_types_are_refused_and_not_kept(
    http: aiohttp.ClientSession, changed: dict[str, object]
) -> None:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST} | changed).encode()
    async with http.put("/v2/app/manifests/odd", data=raw, headers=IMAGE) as response:
        assert (response.status, await code(response)) == (400, "MANIFEST_INVALID")
    async with http.get(f"/v2/app/manifests/{digest(raw)}") as response:
        assert (response.status, await code(response)) == (404, "MANIFEST_UNKNOWN")


async def test_a_bad_subject_leaves_no_manifest(http: aiohttp.ClientSession) -> None:
    raw = json.dumps({"schemaVersion": 2, "subject": {"digest": "sha256:../../x"}}).encode()
    async with http.put("/v2/app/manifests/odd", data=raw, headers=IMAGE) as response:
        assert (response.status, await code(response)) == (400, "DIGEST_INVALID")
    async with http.get(f"/v2/app/manifests/{digest(raw)}") as response:
        assert response.status == 404


async def test_the_directory_above_a_repository_is_none(http: aiohttp.ClientSession) -> None:
    await push_image(http, "class/app", "1")
    async with http.get("/v2/class/tags/list") as response:
        assert (response.status, await code(response)) == (404, "NAME_UNKNOWN")


async def test_a_disk_that_fails_is_told_in_the_specification_s_form(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "uploads").rmdir()
    async with http.post("/v2/app/blobs/uploads/") as response:
        assert (response.status, await code(response)) == (500, "UNKNOWN")


async def test_a_tag_of_128_letters_is_the_longest(http: aiohttp.ClientSession) -> None:
    _, raw = await push_image(http, "app", "t" * 128)
    for method, body in (("PUT", raw), ("GET", None), ("DELETE", None)):
        async with http.request(method, f"/v2/app/manifests/{'t' * 129}", data=body) as response:
            assert (response.status, await code(response)) == (400, "TAG_INVALID")
    async with http.post("/v2/app/manifests/1") as response:
        assert (response.status, await code(response)) == (405, "UNSUPPORTED")
        assert "PUT" in response.headers["Allow"]


async def test_digests_of_sha512(http: aiohttp.ClientSession) -> None:
    def long(data: bytes) -> str:
        return f"sha512:{hashlib.sha512(data).hexdigest()}"

    layer = b"a layer"
    for said, status in ((long(b"another"), 400), (long(layer), 201)):
        async with http.post("/v2/app/blobs/uploads/") as response:
            place = response.headers["Location"]
        async with http.head(place) as response:
            assert (response.status, response.headers["Range"]) == (204, "0-0")
        async with http.patch(place, data=layer[:3]) as response:
            assert response.status == 202
        async with http.put(f"{place}?digest={said}", data=layer[3:]) as response:
            assert response.status == status
    async with http.get(f"/v2/app/blobs/{long(layer)}") as response:
        assert (await response.read(), response.headers["Docker-Content-Digest"]) == (layer, long(layer))
    descriptor = {"mediaType": media_types.OCI_LAYER, "digest": long(layer), "size": len(layer)}
    _, raw = await push_image(http, "app", "1", layers=[descriptor])
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": long(raw), "size": len(raw)}
    for _ in range(2):
        async with http.put(f"/v2/app/manifests/{long(raw)}", data=raw, headers=IMAGE) as response:
            assert (response.status, response.headers["Docker-Content-Digest"]) == (201, long(raw))
    async with http.put(f"/v2/app/manifests/{long(b'no')}", data=raw, headers=IMAGE) as response:
        assert (response.status, await code(response)) == (400, "DIGEST_INVALID")
    referrer, _ = await push_image(http, "app", "", subject=subject, layers=[])
    async with http.get(f"/v2/app/referrers/{long(raw)}") as response:
        [found] = (await response.json(content_type=None))["manifests"]
    assert found["digest"] == referrer
    for path in (f"manifests/{long(raw)}", f"blobs/{long(layer)}"):
        async with http.delete(f"/v2/app/{path}") as response:
            assert response.status == 202
        async with http.get(f"/v2/app/{path}") as response:
            assert response.status == 404
