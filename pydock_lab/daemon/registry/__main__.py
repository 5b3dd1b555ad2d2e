"""`python -m pydock_lab.daemon.registry serve|gc`: the embedded registry as a process of its own, and its broom."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import ssl
import sys
from pathlib import Path

from pydock_lab import paths
from pydock_lab.daemon.registry.server import RegistryServer
from pydock_lab.daemon.registry.server_auth import Users
from pydock_lab.daemon.registry.server_gc import GRACE_S, collect
from pydock_lab.errors import InvalidParameter, LabError

log = logging.getLogger("pydock.registry")


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or collect garbage; return the exit status."""
    flags = _parse(argv)
    if flags.command == "gc":
        return _collect(flags)
    level = logging.WARNING if flags.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    try:
        users = Users.read(flags.htpasswd, flags.user)
        server = RegistryServer(flags.root.absolute(), users=users, tls=_tls(flags.tls_cert, flags.tls_key))
        asyncio.run(_serve(server, _listen(flags.addr)))
    except LabError as error:
        sys.stderr.write(f"pydock registry: {error.message}\n")
        return 1
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pydock registry", description="A registry for a classroom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="serve images until Ctrl-C")
    serve.add_argument("--addr", default="127.0.0.1:5000", metavar="HOST:PORT", help="default 127.0.0.1:5000")
    serve.add_argument("--root", type=Path, default=paths.data_root() / "registry", help="where images are kept")
    serve.add_argument("--htpasswd", type=Path, default=None, metavar="FILE", help="who may come in (bcrypt)")
    serve.add_argument("--user", default=None, metavar="NAME:PASSWORD", help="one user, without a file")
    serve.add_argument("--tls-cert", type=Path, default=None, metavar="FILE")
    serve.add_argument("--tls-key", type=Path, default=None, metavar="FILE")
    serve.add_argument("-q", "--quiet", action="store_true", help="no line for every request")
    gc = commands.add_parser("gc", help="delete the blobs that no manifest names")
    gc.add_argument("--root", type=Path, default=paths.data_root() / "registry", help="where images are kept")
    gc.add_argument("--delete-untagged", action="store_true", help="manifests that no tag leads to go too")
    gc.add_argument("--dry-run", action="store_true", help="only tell what would go")
    gc.add_argument(
        "--grace", type=float, default=GRACE_S, metavar="SECONDS", help=f"what is younger stays; default {GRACE_S}"
    )
    return parser.parse_args(argv)


def _collect(flags: argparse.Namespace) -> int:
    if not (flags.root / "repositories").is_dir():
        sys.stderr.write(f"pydock registry: {flags.root}: no registry keeps images there\n")
        return 1
    found = collect(flags.root, delete_untagged=flags.delete_untagged, dry_run=flags.dry_run, grace_s=flags.grace)
    verb = "would be deleted" if flags.dry_run else "deleted"
    for name in (*found.manifests, *found.blobs):
        sys.stdout.write(f"{verb}: {name}\n")
    sys.stdout.write(f"{len(found.manifests)} manifests, {len(found.blobs)} blobs, {found.freed_bytes} bytes\n")
    return 0


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "0.0.0.0"
    if not port.isdecimal() or int(port) > 65535:
        raise InvalidParameter(f"--addr {address}: HOST:PORT is expected")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise InvalidParameter(f"listen tcp {address}: {error.strerror or error}") from None


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise InvalidParameter("--tls-cert and --tls-key belong together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidParameter(f"--tls-cert {cert}: {error}") from None
    return context


async def _serve(server: RegistryServer, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await server.start(listener)
    log.info("registry on %s, images in %s", server.address, server.root)
    try:
        await stop.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main())
