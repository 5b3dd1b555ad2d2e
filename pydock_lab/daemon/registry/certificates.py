"""Whom a registry's TLS is trusted by, and as whom we come: `certs.d/HOST:PORT`, as Docker keeps it.

    *.crt               certificate authorities of this registry, besides the system's
    *.cert with *.key   our own certificate, where the registry asks for one

Source: Docker docs, "Verify repository client with certificates"; moby registry.ReadCertsDirectory.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from pydock_lab.errors import SystemFailure


def certificates_root() -> Path:
    """`/etc/docker/certs.d`, or a plain user's own."""
    if os.geteuid() == 0:
        return Path("/etc/docker/certs.d")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "docker" / "certs.d"


def tls_context(host: str, *, verify: bool, root: Path | None = None) -> ssl.SSLContext | bool:
    """Return what aiohttp is to speak TLS with; True and False where the registry has no certificates here.

    Args:
        host: `HOST[:PORT]`, as in references.
        verify: False for registries that the user called insecure.
        root: The directory of all registries; None for the usual one.

    Raises:
        SystemFailure: a certificate lacks its key, or can't be read.
    """
    directory = (root or certificates_root()) / host
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError:
        return verify
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name in names:
        stem, _, kind = name.rpartition(".")
        try:
            if kind == "crt":
                context.load_verify_locations(directory / name)
            elif kind == "cert":
                if f"{stem}.key" not in names:
                    raise SystemFailure(f"missing key {stem}.key for client certificate {name}. CA certificates must "
                                        "use the extension .crt")  # fmt: skip
                context.load_cert_chain(directory / name, directory / f"{stem}.key")
            elif kind == "key" and f"{stem}.cert" not in names:
                raise SystemFailure(f"missing client certificate {stem}.cert for key {name}")
        except (OSError, ssl.SSLError) as error:
            raise SystemFailure(f"{directory / name}: {error}") from None
    return context
