"""The certificate authorities this host trusts, where the image's OpenSSL looks for them."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.tree import RootTree

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PLACES = (BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


def add_certificates(tree: RootTree, host: Host) -> dict[str, str]:
    """Add the bundle as Debian has it, and a link from the place compiled into this host's OpenSSL."""
    source = next((Path(place) for place in _PLACES if Path(place).is_file()), None)
    if source is None:
        return {}
    tree.copy(BUNDLE, source.resolve())
    compiled_in = ssl.get_default_verify_paths().openssl_cafile
    if compiled_in not in tree:
        tree.link(compiled_in, BUNDLE)
    return {}
