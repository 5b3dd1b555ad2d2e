"""Manifests, configs, lists and tokens that break off, lead in a circle, or are not what they say."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from pydock_lab.daemon.registry import session
from pydock_lab.daemon.registry.credentials import Credentials
from pydock_lab.errors import InvalidParameter, SystemFailure, Unavailable
from pydock_lab.spec.reference import parse
from tests.unit.daemon.registry.test_faults import Puller, Registry, digest, impatient, puller, registry

__all__ = ["impatient", "puller", "registry"]


async def broken_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"half":')
    assert request.transport is not None
    request.transport.abort()
    return response


async def stalled(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await asyncio.sleep(60)
    return response


async def here_again(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect(request.path)


async def no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    return web.Response()


async def test_what_breaks_off_is_asked_for_again(
    registry: tuple[Registry, str], puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_STALL_S", 0.3)
    registry[0].instead = [broken_off, stalled, broken_off]
    assert (await puller.pull()).id == registry[0].config
    registry[0].instead = [broken_off]
    assert await puller.client.tags(parse(f"{puller.host}/app", default_tag=False)) == ["a", "b", "c"]


async def test_what_breaks_off_every_time_is_told(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].instead = [broken_off] * 5
    with pytest.raises(Unavailable, match=f'^Get "http://{puller.host}/v2/app/manifests/latest": unexpected EOF$'):
        await puller.pull()
    puller.assert_nothing_listed()


async def test_a_redirect_that_leads_in_a_circle(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].instead = [here_again] * 11
    with pytest.raises(SystemFailure, match=r'^Get "http://.*/v2/app/manifests/latest": stopped after 10 redirects$'):
        await puller.pull()


async def test_an_answer_that_is_no_http(registry: tuple[Registry, str], puller: Puller) -> None:
    registry[0].instead = [no_http]
    with pytest.raises(SystemFailure, match="malformed HTTP response"):
        await puller.pull()


async def test_a_tag_s_manifest_is_what_the_registry_says_it_is(registry: tuple[Registry, str], puller: Puller) -> None:
    said = digest(b"another manifest")

    async def other(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=registry[0].manifest, headers={"Docker-Content-Digest": said})

    registry[0].instead = [other]
    with pytest.raises(InvalidParameter, match=f"^manifest verification failed for digest {said}$"):
        await puller.pull()
    puller.assert_nothing_listed()


async def test_a_document_without_end(registry: tuple[Registry, str], puller: Puller) -> None:
    async def endless(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(session.MAX_DOCUMENT + 1))

    registry[0].instead = [endless]
    with pytest.raises(InvalidParameter, match="larger than 4 MiB"):
        await puller.pull()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"token": ""}'])
async def test_tokens_that_are_none(registry: tuple[Registry, str], puller: Puller, body: bytes) -> None:
    async def challenge(request: web.Request) -> web.StreamResponse:
        header = f'Bearer realm="http://{request.host}/v2/app/realm",service="here"'
        return web.Response(status=401, headers={"WWW-Authenticate": header})

    async def realm(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    registry[0].instead = [challenge, realm]
    with pytest.raises(SystemFailure, match="token"):
        await puller.pull(credentials=Credentials("me", "secret"))
