"""The seccomp programs of launch plans, each compiled once."""

from __future__ import annotations

import json
from typing import Any

from pydock_lab.daemon.linux import seccomp
from pydock_lab.daemon.runtime.operations.identity import InstallSeccomp
from pydock_lab.daemon.runtime.plan import Plan


class Filters:
    """Compiled profiles by their content."""

    def __init__(self) -> None:
        self._programs: dict[str, bytes] = {}

    def compile(self, plan: Plan) -> list[bytes]:
        """Return the programs of a plan's profiles, and note their size in the plan."""
        programs = [self._one(profile, plan.capabilities) for profile in plan.seccomp]
        for operation in plan.operations:
            if isinstance(operation, InstallSeccomp):
                operation.instructions = sum(map(len, programs)) // 8
        return programs

    def _one(self, profile: dict[str, Any], capabilities: list[str]) -> bytes:
        key = json.dumps([profile, sorted(capabilities)])
        if key not in self._programs:
            self._programs[key] = seccomp.compile_profile(profile, capabilities)
        return self._programs[key]
