"""Names by which clients of ours tell the engine who asks, in the User-Agent header."""

from __future__ import annotations

ONLOOKER = "pydock_lab view"
"""A view that follows the engine, once a second: the trace keeps what people ask, not this."""
