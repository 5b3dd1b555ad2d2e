"""Descriptors: what a manifest says of a blob. Source: OCI image-spec descriptor.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydock_lab.errors import InvalidParameter
from pydock_lab.spec.reference import is_digest


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob."""

    digest: str
    size: int
    media_type: str

    @classmethod
    def read(cls, document: Any) -> Descriptor:
        """Check and read a descriptor. Raises InvalidParameter."""
        digest, size = document.get("digest"), document.get("size")
        if not isinstance(digest, str) or not is_digest(digest) or not isinstance(size, int) or size < 0:
            raise InvalidParameter(f"invalid descriptor in manifest: {digest}")
        if document.get("urls") or "foreign" in str(document.get("mediaType")):
            raise InvalidParameter("foreign layers are not supported", hint="the image is for another system")
        return cls(digest, size, str(document.get("mediaType") or ""))
