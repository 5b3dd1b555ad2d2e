"""The embedded registry, request by request, as the distribution specification's conformance tests ask it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pydock_lab.daemon.registry.server import RegistryServer
from pydock_lab.daemon.registry.server_auth import Users
from pydock_lab.errors import InvalidParameter
from pydock_lab.spec import media_types


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextlib.asynccontextmanager
async def serving(root: Path, users: Users | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    server = RegistryServer(root, users=users)
    await server.start(socket.create_server(("127.0.0.1", 0)))
    try:
        async with aiohttp.ClientSession(f"http://{server.address}") as http:
            yield http
    finally:
        await server.stop()


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(tmp_path) as session:
        yield session


async def push_blob(http: aiohttp.ClientSession, name: str, data: bytes) -> str:
    async with http.post(f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data=data) as response:
        assert response.status == 201
        assert response.headers["Location"] == f"/v2/{name}/blobs/{digest(data)}"
    return digest(data)


async def push_image(http: aiohttp.ClientSession, name: str, reference: str, **extra: Any) -> tuple[str, bytes]:
    config, layer = await push_blob(http, name, b"{}"), await push_blob(http, name, b"layer")
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": config, "size": 2},
        "layers": [{"mediaType": media_types.OCI_LAYER, "digest": layer, "size": 5}],
        **extra,
    }
    raw = json.dumps(document).encode()
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    async with http.put(f"/v2/{name}/manifests/{reference or digest(raw)}", data=raw, headers=headers) as response:
        assert response.status == 201, await response.text()
        assert response.headers["Docker-Content-Digest"] == digest(raw)
        assert response.headers.get("OCI-Subject") == (extra.get("subject") or {}).get("digest")
    return digest(raw), raw


async def code(response: aiohttp.ClientResponse) -> str:
    [error] = (await response.json())["errors"]
    assert error["message"]
    return str(error["code"])


async def test_the_version_is_told(http: aiohttp.ClientSession) -> None:
    async with http.get("/v2/") as response:
        assert response.status == 200
        assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_a_blob_comes_back_whole_and_in_ranges(http: aiohttp.ClientSession) -> None:
    name = await push_blob(http, "team/app", b"0123456789")
    async with http.get(f"/v2/team/app/blobs/{name}") as response:
        assert (response.status, await response.read()) == (200, b"0123456789")
        assert response.headers["Docker-Content-Digest"] == name
    async with http.head(f"/v2/team/app/blobs/{name}") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "10")
        assert response.headers["Docker-Content-Digest"] == name
    async with http.get(f"/v2/team/app/blobs/{name}", headers={"Range": "bytes=4-6"}) as response:
        assert (response.status, await response.read()) == (206, b"456")
        assert response.headers["Content-Range"] == "bytes 4-6/10"
    async with http.get(f"/v2/team/app/blobs/{name}", headers={"Range": "bytes=99-"}) as response:
        assert response.status == 416
    async with http.get(f"/v2/team/other/blobs/{name}") as response:
        assert (response.status, await code(response)) == (404, "BLOB_UNKNOWN")


async def test_an_upload_in_chunks_survives_a_restart(tmp_path: Path) -> None:
    data = b"abcdefghij"
    async with serving(tmp_path) as http:
        async with http.post("/v2/app/blobs/uploads/") as response:
            assert response.status == 202
            assert response.headers["Docker-Upload-UUID"]
            location = response.headers["Location"]
        async with http.patch(location, data=data[:4], headers={"Content-Range": "0-3"}) as response:
            assert (response.status, response.headers["Range"]) == (202, "0-3")
    async with serving(tmp_path) as http:
        async with http.get(location) as response:
            assert (response.status, response.headers["Range"]) == (204, "0-3")
        async with http.patch(location, data=data[6:], headers={"Content-Range": "6-9"}) as response:
            assert (response.status, response.headers["Range"]) == (416, "0-3")
        async with http.patch(location, data=data[4:8], headers={"Content-Range": "4-7"}) as response:
            assert response.status == 202
            assert response.headers["Location"] == location
        async with http.put(f"{location}?digest={digest(data)}", data=data[8:]) as response:
            assert response.status == 201
        async with http.get(f"/v2/app/blobs/{digest(data)}") as response:
            assert await response.read() == data
        async with http.get(location) as response:
            assert (response.status, await code(response)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_wrong_digest_is_not_kept(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with http.post(f"/v2/app/blobs/uploads/?digest={digest(b'this')}", data=b"that") as response:
        assert (response.status, await code(response)) == (400, "DIGEST_INVALID")
    async with http.head(f"/v2/app/blobs/{digest(b'that')}") as response:
        assert response.status == 404
    assert not list((tmp_path / "blobs").iterdir())
    assert not list((tmp_path / "uploads").iterdir())


async def test_an_upload_is_dropped(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with http.post("/v2/app/blobs/uploads/") as response:
        location = response.headers["Location"]
    async with http.delete(location) as response:
        assert response.status == 204
    assert not list((tmp_path / "uploads").iterdir())
    async with http.patch(location, data=b"x") as response:
        assert (response.status, await code(response)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_blob_is_mounted_and_deleted_with_its_last_repository(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    name = await push_blob(http, "one", b"shared")
    async with http.post(f"/v2/two/blobs/uploads/?mount={name}&from=one") as response:
        assert (response.status, response.headers["Docker-Content-Digest"]) == (201, name)
    async with http.post(f"/v2/two/blobs/uploads/?mount={digest(b'other')}&from=one") as response:
        assert response.status == 202, "what can't be mounted is uploaded"
    async with http.delete(f"/v2/one/blobs/{name}") as response:
        assert response.status == 202
    async with http.get(f"/v2/one/blobs/{name}") as response:
        assert response.status == 404
    async with http.get(f"/v2/two/blobs/{name}") as response:
        assert await response.read() == b"shared"
    async with http.delete(f"/v2/two/blobs/{name}") as response:
        assert response.status == 202
    assert not list((tmp_path / "blobs").iterdir())


async def test_manifests_by_tag_and_by_digest(http: aiohttp.ClientSession) -> None:
    name, raw = await push_image(http, "team/app", "v1")
    for reference in ("v1", name):
        async with http.get(f"/v2/team/app/manifests/{reference}") as response:
            assert (response.status, await response.read()) == (200, raw)
            assert response.content_type == media_types.OCI_MANIFEST
        async with http.head(f"/v2/team/app/manifests/{reference}") as response:
            assert (response.status, response.headers["Docker-Content-Digest"]) == (200, name)
            assert response.headers["Content-Length"] == str(len(raw))
    async with http.get("/v2/team/app/manifests/v2") as response:
        assert (response.status, await code(response)) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    ("reference", "body", "expected"),
    [
        ("v1", b"no json", "MANIFEST_INVALID"),
        ("v1", b"[]", "MANIFEST_INVALID"),
        ("v1", b'{"schemaVersion": 1}', "MANIFEST_INVALID"),
        ("v1", b'{"schemaVersion": 2, "config": {"digest": "sha256:%s"}}' % (b"0" * 64), "MANIFEST_BLOB_UNKNOWN"),
        ("v1", b'{"schemaVersion": 2, "mediaType": "text/plain"}', "MANIFEST_INVALID"),
        (f"sha256:{'0' * 64}", b'{"schemaVersion": 2}', "DIGEST_INVALID"),
        ("-v1", b'{"schemaVersion": 2}', "TAG_INVALID"),
    ],
)
async def test_manifests_that_are_refused(
    http: aiohttp.ClientSession, reference: str, body: bytes, expected: str
) -> None:
    headers = {"Content-Type": media_types.OCI_MANIFEST}
    async with http.put(f"/v2/app/manifests/{reference}", data=body, headers=headers) as response:
        assert (response.status, await code(response)) == (400, expected)


async def test_deleting_a_tag_leaves_the_manifest_and_deleting_that_takes_its_tags(
    http: aiohttp.ClientSession,
) -> None:
    name, _ = await push_image(http, "app", "a")
    for tag in "bc":
        await push_image(http, "app", tag)
    async with http.delete("/v2/app/manifests/a") as response:
        assert response.status == 202
    async with http.get("/v2/app/tags/list") as response:
        assert await response.json() == {"name": "app", "tags": ["b", "c"]}
    async with http.delete(f"/v2/app/manifests/{name}") as response:
        assert response.status == 202
    async with http.get("/v2/app/tags/list") as response:
        assert await response.json() == {"name": "app", "tags": []}
    async with http.delete(f"/v2/app/manifests/{name}") as response:
        assert (response.status, await code(response)) == (404, "MANIFEST_UNKNOWN")


async def test_lists_come_in_pages(http: aiohttp.ClientSession) -> None:
    for tag in ("d", "a", "c", "b", "E"):
        await push_image(http, "team/app", tag)
    await push_image(http, "other", "1")
    seen, path = [], "/v2/team/app/tags/list?n=2"
    while path:
        async with http.get(path) as response:
            tags = (await response.json())["tags"]
            assert len(tags) <= 2
            seen += tags
            link = response.headers.get("Link", "")
            assert not link or link.endswith('; rel="next"')
            path = link.partition(">")[0].removeprefix("<")
    assert seen == ["E", "a", "b", "c", "d"]
    async with http.get("/v2/team/app/tags/list?last=b") as response:
        assert (await response.json())["tags"] == ["c", "d"]
    async with http.get("/v2/team/app/tags/list?n=0") as response:
        assert (await response.json())["tags"] == []
    async with http.get("/v2/team/app/tags/list?n=x") as response:
        assert (response.status, await code(response)) == (400, "PAGINATION_NUMBER_INVALID")
    async with http.get("/v2/nosuch/tags/list") as response:
        assert (response.status, await code(response)) == (404, "NAME_UNKNOWN")
    async with http.get("/v2/_catalog?n=1") as response:
        assert await response.json() == {"repositories": ["other"]}
        assert response.headers["Link"] == '</v2/_catalog?last=other&n=1>; rel="next"'


async def test_referrers(http: aiohttp.ClientSession) -> None:
    subject, raw = await push_image(http, "app", "v1")
    described = {"mediaType": media_types.OCI_MANIFEST, "digest": subject, "size": len(raw)}
    extra = {"subject": described, "annotations": {"by": "me"}}
    signature, _ = await push_image(http, "app", "", artifactType="application/signature", **extra)
    await push_image(http, "app", "", artifactType="application/sbom", **extra)
    async with http.get(f"/v2/app/referrers/{subject}") as response:
        assert response.content_type == media_types.OCI_INDEX
        assert len((await response.json())["manifests"]) == 2
    async with http.get(f"/v2/app/referrers/{subject}?artifactType=application/signature") as response:
        assert response.headers["OCI-Filters-Applied"] == "artifactType"
        [found] = (await response.json())["manifests"]
        assert found["digest"] == signature
        assert found["annotations"] == {"by": "me"}
    async with http.delete(f"/v2/app/manifests/{signature}") as response:
        assert response.status == 202
    async with http.get(f"/v2/app/referrers/{subject}") as response:
        assert [each["artifactType"] for each in (await response.json())["manifests"]] == ["application/sbom"]
    async with http.get(f"/v2/app/referrers/{digest(b'nobody')}") as response:
        assert (response.status, (await response.json())["manifests"]) == (200, [])


async def test_names_lead_nowhere_else(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    for name in ("../secret", "UPPER", "a//b", "app/_manifests", "%2e%2e/secret"):
        async with http.post(f"/v2/{name}/blobs/uploads/") as response:
            assert response.status in (400, 404)
            assert await code(response) in ("NAME_INVALID", "NAME_UNKNOWN")
    async with http.post("/v2/app/tags/list") as response:
        assert (response.status, await code(response)) == (405, "UNSUPPORTED")


@pytest.mark.parametrize(
    "users",
    [
        Users(plain={"me": "secret"}),
        # htpasswd -nbB me secret
        Users(hashed={"me": "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"}),
    ],
    ids=["plain", "bcrypt"],
)
async def test_who_may_come_in(tmp_path: Path, users: Users) -> None:
    async with serving(tmp_path, users) as http:
        async with http.get("/v2/") as response:
            assert (response.status, await code(response)) == (401, "UNAUTHORIZED")
            assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
        for name, password, status in (("me", "wrong", 401), ("you", "secret", 401), ("me", "secret", 200)):
            pair = base64.b64encode(f"{name}:{password}".encode()).decode()
            async with http.get("/v2/", headers={"Authorization": f"Basic {pair}"}) as response:
                assert response.status == status


def test_users_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text("# the class\nme:$6$x$y\n\n")
    assert Users.read(tmp_path / "htpasswd", "you:secret")
    assert not Users.read(None, None)
    with pytest.raises(InvalidParameter):
        Users.read(None, "nopassword")
    with pytest.raises(InvalidParameter):
        Users.read(tmp_path / "nosuch", None)
