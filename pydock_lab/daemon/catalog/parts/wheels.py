"""The wheelhouse inside an image, so that `pip install flask` works in a build without a network."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.parts import offline_pip
from pydock_lab.daemon.catalog.parts.certificates import BUNDLE
from pydock_lab.daemon.catalog.parts.interpreter import this_installation
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.daemon.catalog.wheelhouse import wheels

# Run by site.py at every start of the image's Python; costs nothing where pip is not meant.
_AT_START = "import sys; any('pip' in w for w in sys.orig_argv[1:4]) and __import__('pydock_offline_pip').prepare()"
_LOOPBACK = ("localhost", "127.", "[::1]", "::1")


def add_wheels(tree: RootTree, host: Host) -> dict[str, str]:
    """Add the host's wheels and tell pip about them; the fact `wheels` names them."""
    if host.wheelhouse is None:
        return {"wheels": "no packages (there is no wheelhouse on this machine)"}
    found = wheels(host.wheelhouse)
    for wheel in found:
        tree.copy(f"{offline_pip.WHEELHOUSE}/{wheel.name}", wheel)
    python = this_installation()
    packages = python.place(Path(python.packages))
    tree.file(f"{packages}/pydock_offline_pip.py", Path(offline_pip.__file__).read_text())
    tree.file(f"{packages}/pydock_offline_pip.pth", f"{_AT_START}\n")
    tree.file(offline_pip.CONFIG, _pip_config())
    names = sorted({wheel.name.partition("-")[0].lower().replace("_", "-") for wheel in found})
    return {"wheels": ", ".join(names)}


def _pip_config() -> str:
    lines = ["[global]", f"find-links = {offline_pip.WHEELHOUSE}", "disable-pip-version-check = true"]
    lines += ["root-user-action = ignore"]
    if any(Path(place).is_file() for place in (BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt")):
        lines += [f"cert = {BUNDLE}"]
    if index := host_index():
        lines += [f"index-url = {index}"]
    return "\n".join(lines) + "\n"


def host_index() -> str | None:
    """Return the package index this host is set to, unless it holds a password or only this host can reach it."""
    parser = configparser.RawConfigParser()
    home = Path.home()
    own = [home / ".pip/pip.conf", home / ".config/pip/pip.conf", Path(sys.prefix) / "pip.conf"]
    parser.read(["/etc/pip.conf", *map(str, own)])
    chosen = os.environ.get("PIP_INDEX_URL") or parser.get("global", "index-url", fallback="")
    address = urlsplit(chosen)
    if address.scheme not in ("http", "https") or address.username or (address.hostname or "").startswith(_LOOPBACK):
        return None
    return chosen
