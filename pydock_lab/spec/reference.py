"""Image references as Docker reads them: `alpine` is `docker.io/library/alpine:latest`.

Source: distribution/reference (grammar in reference.go, normalisation in normalize.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydock_lab.errors import InvalidParameter

DEFAULT_DOMAIN = "docker.io"
_OFFICIAL = "library"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_NAME_RE = re.compile(rf"^(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH})$")
_TAG_RE = re.compile(r"^[\w][\w.-]{0,127}$", re.ASCII)
_DIGEST_RE = re.compile(r"^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$")
_ID_RE = re.compile(r"^[a-f0-9]{64}$")


def is_digest(text: str) -> bool:
    """Whether `text` is a whole sha256 digest, `sha256:` and 64 digits."""
    return text.startswith("sha256:") and bool(_ID_RE.match(text[7:]))


@dataclass(frozen=True)
class Reference:
    """A parsed reference: `domain/path[:tag][@digest]`."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """`docker.io/library/alpine`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as Docker shows it: `alpine`, `user/app`, `localhost:5000/app`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        return self.path.removeprefix(f"{_OFFICIAL}/")

    @property
    def familiar(self) -> str:
        """The whole reference as Docker shows it: `alpine:3.20`."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str, *, default_tag: bool = True) -> Reference:
    """Read a reference as a user writes it.

    Args:
        text: `alpine`, `localhost:5000/app:1.0`, `redis@sha256:…`.
        default_tag: Add `latest` where neither tag nor digest is given.

    Raises:
        InvalidParameter: in Docker's words.
    """
    if _ID_RE.match(text):
        raise InvalidParameter(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST_RE.match(digest):
        raise InvalidParameter("invalid reference format")
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    name, tag = (rest, "") if colon < 0 else (rest[:colon], rest[colon + 1 :])
    if colon >= 0 and not _TAG_RE.match(tag):
        raise InvalidParameter("invalid reference format")
    domain, path = _split_domain(name)
    if path.lower() != path:
        raise InvalidParameter(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _NAME_RE.match(f"{domain}/{path}"):
        raise InvalidParameter("invalid reference format")
    if len(f"{domain}/{path}") > 255:
        raise InvalidParameter("repository name must not be more than 255 characters")
    if default_tag and not tag and not digest:
        tag = "latest"
    return Reference(domain, path, tag, digest)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    looks_like_host = "." in first or ":" in first or first == "localhost" or first.lower() != first
    if not slash or not looks_like_host:
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = first, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"{_OFFICIAL}/{path}"
    return domain, path
