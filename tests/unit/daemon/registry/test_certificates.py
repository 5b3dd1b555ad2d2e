"""`certs.d`: a registry that wants to know who comes, and what is wrong with a directory."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from pydock_lab.daemon.registry.certificates import tls_context
from pydock_lab.daemon.registry.server import RegistryServer
from pydock_lab.errors import SystemFailure


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `me.cert` and `me.key`, which signs itself."""
    root = tmp_path_factory.mktemp("certificates")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(root / "me.key"), "-out", str(root / "me.cert")]
    subprocess.run(command, check=True, capture_output=True)
    return root


async def test_a_registry_that_asks_for_a_certificate(pair: Path, tmp_path: Path) -> None:
    asks = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pair / "me.cert"))
    asks.load_cert_chain(pair / "me.cert", pair / "me.key")
    asks.verify_mode = ssl.CERT_REQUIRED
    server = RegistryServer(tmp_path / "data", tls=asks)
    await server.start(socket.create_server(("127.0.0.1", 0)))
    directory = tmp_path / "certs.d" / server.address
    directory.mkdir(parents=True)
    try:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(f"https://{server.address}/v2/", ssl=False)
            (directory / "ca.crt").write_bytes((pair / "me.cert").read_bytes())
            for name in ("me.cert", "me.key"):
                (directory / name).write_bytes((pair / name).read_bytes())
            context = tls_context(server.address, verify=True, root=tmp_path / "certs.d")
            async with http.get(f"https://{server.address}/v2/", ssl=context) as response:
                assert response.status == 200
    finally:
        await server.stop()


def test_a_directory_that_is_incomplete(pair: Path, tmp_path: Path) -> None:
    assert tls_context("registry.test", verify=True, root=tmp_path) is True
    assert tls_context("registry.test", verify=False, root=tmp_path) is False
    directory = tmp_path / "registry.test"
    directory.mkdir()
    (directory / "me.cert").write_bytes((pair / "me.cert").read_bytes())
    with pytest.raises(SystemFailure, match=r"missing key me\.key for client certificate me\.cert"):
        tls_context("registry.test", verify=True, root=tmp_path)
    (directory / "me.cert").rename(directory / "me.key")
    with pytest.raises(SystemFailure, match=r"missing client certificate me\.cert for key me\.key"):
        tls_context("registry.test", verify=True, root=tmp_path)
    (directory / "me.key").rename(directory / "ca.crt")
    (directory / "ca.crt").write_text("nothing")
    with pytest.raises(SystemFailure, match=r"ca\.crt"):
        tls_context("registry.test", verify=True, root=tmp_path)
