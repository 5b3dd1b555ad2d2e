"""The daemon's process: flags, sockets, signals. dockerd's flag names."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TextIO

from pydock_lab import paths
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.rootless.broker import Broker
from pydock_lab.errors import Conflict, InvalidParameter, LabError

log = logging.getLogger("pydock.daemon")


def parse_flags(argv: list[str] | None = None) -> DaemonConfig:
    """Read the command line into a DaemonConfig."""
    parser = argparse.ArgumentParser(prog="pydock daemon", description="A Docker engine for learning.")
    parser.add_argument("-H", "--host", action="append", default=[], help="unix:///PATH or tcp://ADDR:PORT")
    parser.add_argument("--data-root", type=Path, default=paths.data_root())
    parser.add_argument("--exec-root", type=Path, default=paths.exec_root())
    parser.add_argument("--live-restore", action="store_true", help="containers outlive the daemon")
    parser.add_argument("--registry-mirror", action="append", default=[])
    parser.add_argument("--insecure-registry", action="append", default=[])
    parser.add_argument("--bip", default=None, help="address and prefix of the default bridge")
    parser.add_argument("-b", "--bridge", default=None, help="name of the default bridge's link")
    parser.add_argument("-D", "--debug", action="store_true")
    parser.add_argument("--label", action="append", default=[])
    # Set by the bootstrap of a plain user's daemon, not by people.
    parser.add_argument("--broker-fd", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--single-id", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    exec_root = flags.exec_root.absolute()
    return DaemonConfig(
        hosts=tuple(flags.host) or (f"unix://{exec_root / 'docker.sock'}",),
        data_root=flags.data_root.absolute(),
        exec_root=exec_root,
        live_restore=flags.live_restore,
        registry_mirrors=tuple(flags.registry_mirror),
        insecure_registries=tuple(flags.insecure_registry),
        bip=flags.bip,
        bridge=flags.bridge,
        debug=flags.debug,
        rootless=flags.broker_fd is not None,
        single_id=flags.single_id,
        broker_fd=flags.broker_fd,
        labels=dict(label.partition("=")[::2] for label in flags.label),
    )


def listen(host: str, broker_fd: int | None = None) -> socket.socket:
    """Open one address; a unix socket is 0600 and replaces one that nobody serves.

    Rootless, a TCP socket comes from the broker: this process's own network is not the host's.

    Raises:
        Conflict: another daemon serves the address.
        InvalidParameter: the address is not one of ours.
    """
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        path = Path(rest)
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(probe), contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            probe.connect(rest)
            raise Conflict(f"can't create unix socket {rest}: another daemon serves it")
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            server.bind(rest)
        finally:
            os.umask(umask)
    elif scheme == "tcp":
        address, _, port = rest.rpartition(":")
        if broker_fd is not None:
            server = Broker(broker_fd).make_socket(socket.AF_INET, socket.SOCK_STREAM)
        else:
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address or "127.0.0.1", int(port)))
    else:
        raise InvalidParameter(f"unable to parse docker host `{host}`")
    server.listen(128)
    return server


async def serve(config: DaemonConfig) -> None:
    """Run the engine behind its sockets until SIGTERM or SIGINT."""
    from aiohttp import web

    from pydock_lab.daemon.api.app import make_app
    from pydock_lab.daemon.api.connection import serve_on
    from pydock_lab.daemon.engine.engine import build_engine

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    lock = claim(config.data_root)
    sockets = [listen(host, config.broker_fd) for host in config.hosts]
    paths_served = [Path(host.removeprefix("unix://")) for host in config.hosts if host.startswith("unix://")]
    ours = {path: path.stat().st_ino for path in paths_served}
    engine = build_engine(config)
    await engine.start()
    runner = web.AppRunner(make_app(engine), access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    servers = [await serve_on(runner, listener) for listener in sockets]
    # What is here now lives as long as the daemon: a collection that looks at it all stops the world for 20 ms.
    gc.collect()
    gc.freeze()
    log.info("API listen on %s", ", ".join(config.hosts))
    try:
        await stop.wait()
    finally:
        log.info("stopping")
        await engine.stop()
        for server in servers:
            server.close()
        await runner.cleanup()
        for path, inode in ours.items():
            # Another daemon may have taken the path over since.
            if path.exists() and path.stat().st_ino == inode:
                path.unlink()
        lock.close()


def claim(data_root: Path) -> TextIO:
    """Lock a data root for as long as the returned file is open.

    Raises:
        Conflict: another daemon uses it.
    """
    data_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    lock = (data_root / "daemon.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip()
        lock.close()
        raise Conflict(
            f"the data root {data_root} is in use by the daemon with process id {pid}",
            hint="give this one roots of its own with --data-root and --exec-root",
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def become_rootless(config: DaemonConfig, arguments: list[str]) -> int:
    """Run this very daemon again as root of namespaces of its own; return its exit status."""
    from pydock_lab.daemon.rootless import bootstrap

    # Inside, the defaults would be root's: say where this user's roots and socket are.
    roots = ["--data-root", str(config.data_root), "--exec-root", str(config.exec_root)]
    hosts = [word for host in config.hosts for word in ("-H", host)] if not _names_host(arguments) else []
    command = [sys.executable, "-m", "pydock_lab.daemon", *arguments, *roots, *hosts]
    return bootstrap.run(command, config.exec_root)


def _names_host(arguments: list[str]) -> bool:
    return any(argument.startswith(("-H", "--host")) for argument in arguments)


def main(argv: list[str] | None = None) -> int:
    """Run a daemon in the foreground; return its exit status."""
    config = parse_flags(argv)
    with contextlib.suppress(RuntimeError, ValueError):  # a stderr without a descriptor
        faulthandler.enable()
    logging.basicConfig(
        level=logging.DEBUG if config.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    try:
        if os.geteuid() != 0 and not config.rootless:
            return become_rootless(config, sys.argv[1:] if argv is None else argv)
        asyncio.run(serve(config))
    except LabError as error:
        print(f"pydock daemon: {error.message}", file=sys.stderr)
        return 1
    return 0
