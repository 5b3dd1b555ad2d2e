"""Bring xterm.js into the package: `python -m tools.vendor_xterm`.

Takes two packages at fixed versions from the npm registry, checks them against
the digests below, and writes one ES module and one style sheet, with the
licences, so that neither Node nor a network is needed to install or to run.
To update: change the versions and the digests (`npm view PACKAGE dist.integrity`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import urllib.request
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "pydock_lab" / "notebook" / "widgets" / "vendor"
REGISTRY = "https://registry.npmjs.org"
PACKAGES = {
    "xterm": (
        "6.0.0",
        "sha512-TQwDdQGtwwDt+2cgKDLn0IRaSxYu1tSUjgKarSDkUM0ZNiSRXFpjxEsvc/Zgc5kq5omJ+V0a8/kIM2WD3sMOYg==",
    ),
    "addon-fit": (
        "0.11.0",
        "sha512-jYcgT6xtVYhnhgxh3QgYDnnNMYTcf8ElbxxFzX0IZo+vabQqSPAjC3c1wJrKB5E19VwQei89QCiZZP86DCPF7g==",
    ),
}


def fetch(name: str) -> dict[str, str]:
    """Return the text files of a package by path; a wrong digest ends the program."""
    version, integrity = PACKAGES[name]
    with urllib.request.urlopen(f"{REGISTRY}/@xterm/{name}/-/{name}-{version}.tgz") as response:
        data = response.read()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != integrity:
        raise SystemExit(f"{name} {version}: the registry's package has the digest {digest}")
    wanted = ("LICENSE", ".mjs", ".css")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = [member for member in archive if member.isfile() and member.name.endswith(wanted)]
        return {
            member.name.removeprefix("package/"): file.read().decode()
            for member in members
            if (file := archive.extractfile(member))
        }


def module(source: str, inner: str, outer: str) -> str:
    """Make an expression of an ES module that exports one thing, so that two can share a file."""
    body, found = re.subn(rf"export\s*{{\s*([\w$]+) as {inner}\s*}};?", r"return \1;", source)
    if found != 1:
        raise SystemExit(f"{inner} is exported otherwise than it was")
    body = re.sub(r"//# sourceMappingURL=.*", "", body).strip()
    return f"export const {outer} = (() => {{\n{body}\n}})();\n"


def main() -> None:
    """Write the files."""
    xterm, fit = fetch("xterm"), fetch("addon-fit")
    versions = " and ".join(f"{name} {version}" for name, (version, _) in PACKAGES.items())
    TARGET.mkdir(exist_ok=True)
    (TARGET / "xterm.js").write_text(
        f"/* {versions} of xterm.js, see LICENSE.xterm; made by tools/vendor_xterm.py. */\n"
        + module(xterm["lib/xterm.mjs"], "Terminal", "Terminal")
        + module(fit["lib/addon-fit.mjs"], "FitAddon", "FitAddon")
    )
    (TARGET / "xterm.css").write_text(xterm["css/xterm.css"])
    (TARGET / "LICENSE.xterm").write_text(xterm["LICENSE"])


if __name__ == "__main__":
    main()
