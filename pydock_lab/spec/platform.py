"""Platforms: `linux/arm64/v8`, the host's own, and which manifest of an index fits.

Source: OCI image-spec image-index.md; containerd/platforms for normalisation.
"""

from __future__ import annotations

import platform as _host
import re
from dataclasses import dataclass, replace
from typing import Any

from pydock_lab.errors import InvalidParameter

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm64",
    "armv7l": "arm",
    "armhf": "arm",
    "i386": "386",
    "i686": "386",
}
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "plan9", "android", "js")
_KNOWN = ("386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x")
_WORD = re.compile(r"^[A-Za-z0-9_-]+$")


@dataclass(frozen=True)
class Platform:
    """What an image runs on, in Go's words."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def host(cls) -> Platform:
        """Return this machine's."""
        machine = _host.machine()
        return cls("linux", _ARCHITECTURES.get(machine, machine), "v7" if machine == "armv7l" else "")

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/arch[/variant]`, `arch` or `os`. Raises InvalidParameter."""
        parts = text.lower().split("/")
        for part in text.split("/"):
            if not _WORD.fullmatch(part):
                raise InvalidParameter(
                    f'"{part}" is an invalid component of "{text}": platform specifier component must match '
                    f'"{_WORD.pattern}": invalid argument'
                )
        if len(parts) > 3:
            raise InvalidParameter(f'"{text}": cannot parse platform specifier: invalid argument')
        if len(parts) == 1:
            if parts[0] in _SYSTEMS:
                return replace(cls.host(), os=parts[0])
            if _ARCHITECTURES.get(parts[0], parts[0]) not in _KNOWN:
                raise InvalidParameter(f'"{text}": unknown operating system or architecture: invalid argument')
            parts = ["linux", parts[0]]
        architecture = _ARCHITECTURES.get(parts[1], parts[1])
        return cls(parts[0], architecture, parts[2] if len(parts) == 3 else "")

    @classmethod
    def of(cls, document: dict[str, Any]) -> Platform:
        """Read the platform of an index entry or of an image config."""
        architecture = str(document.get("architecture") or "")
        variant = str(document.get("variant") or "")
        return cls(str(document.get("os") or ""), _ARCHITECTURES.get(architecture, architecture), variant)

    def rank(self, offered: Platform) -> int | None:
        """How well an offer fits this wish: 0 is best, None is not at all."""
        if (offered.os, offered.architecture) != (self.os, self.architecture):
            return None
        variants = {offered.variant, self.variant}
        if len(variants) == 1 or (self.architecture == "arm64" and variants == {"", "v8"}):
            return 0
        if not self.variant or not offered.variant:
            return 1
        if self.architecture == "arm" and offered.variant < self.variant:
            return 2 + int(self.variant[1:2] or 0) - int(offered.variant[1:2] or 0)
        return None


def choose(entries: list[dict[str, Any]], wanted: Platform) -> dict[str, Any] | None:
    """Return the entry of an index that fits a platform best, or None."""
    best: tuple[int, dict[str, Any]] | None = None
    for entry in entries:
        rank = wanted.rank(Platform.of(entry.get("platform") or {}))
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, entry)
    return best[1] if best else None
