"""Errors of the embedded registry in the form that every client reads.

Source: distribution-spec 1.1 "Error Codes".
"""

from __future__ import annotations

import msgspec

_MESSAGES = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "PAGINATION_NUMBER_INVALID": "invalid number of results requested",
    "RANGE_INVALID": "invalid content range",
    "SIZE_INVALID": "provided length did not match content length",
    "TAG_INVALID": "manifest tag did not match URI",
    "UNAUTHORIZED": "authentication required",
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
}


class RegistryError(Exception):
    """A request the registry refuses.

    Args:
        code: One of the specification's.
        status: HTTP's.
        detail: Whatever helps.
        headers: Of the response.
    """

    def __init__(self, code: str, status: int, *, detail: object = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {_MESSAGES[code]}")
        self.code = code
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def document(self) -> bytes:
        """`{"errors": [{"code", "message", "detail"}]}`, without a detail where there is none."""
        error: dict[str, object] = {"code": self.code, "message": _MESSAGES[self.code]}
        if self.detail is not None:
            error["detail"] = self.detail
        return msgspec.json.encode({"errors": [error]})
