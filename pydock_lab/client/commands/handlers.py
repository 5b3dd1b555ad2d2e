"""Which function carries out which command: `module:function`, imported when the command runs."""

from __future__ import annotations

from collections.abc import Mapping

HANDLERS: Mapping[str, str] = {}
