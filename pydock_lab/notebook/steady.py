"""The same output every time: stable ids and clocks for printed course notes and regression tests.

With `PYDOCK_SEED` set, everything the notebook shows passes through `Steady`:
ids, inodes, cables and ports that nobody chose are renumbered in the order in which they are first seen,
ages, durations and the numbers that a machine gives (its kernel, pids) are left vague, names that the engine
made up are replaced, volumes lie where they usually do. What was measured (bytes, CPU) and when things happened
stay as they are. The engine and its objects keep their real ids; `$web` still names the real container.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import partial

_ID = re.compile(r"(?<![0-9A-Za-z_.-])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9A-Za-z_-])")
_AGE = re.compile(
    r"(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour|day|week|month|year)s?)"
    r"(?= ago| \(|$|\s{2}|<)"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?[+-]\d\d:?\d\d(?: [A-Z]{3,4})?|Z)?")
_DURATION = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?: ms| s)(?!\w)")
_VOLUMES = re.compile(r"/[^\s\"<>]*/volumes/(?=[\w.-]+/_data)")
_KERNEL = re.compile(r"(?<=Linux )\d+\.\d+\.[\w.+-]*\w")
_PID = re.compile(r"\b\d+(?= outside)|(?<=process )\d+(?= of this host)|(?<=, process )\d+|(?<=\bpid )\d{2,}(?=,)")
# Which number the kernel gives next: inodes of namespaces, names of cables, ports that nobody chose.
_NEXT = (
    (re.compile(r"\b4026[5-9]\d{5}\b"), "40265{:05}"),
    (re.compile(r"\bpd[0-9a-f]{4}v[0-9a-f]{8}\b"), "pd0000v{:08x}"),
    (re.compile(r"\bpd[0-9a-f]{4}(?=-\w)"), "pd{:04x}"),
    (re.compile(r"(?<=:)3\d{4}\b(?=->|-&gt;| →|/)"), "{}"),
)
_FIRST_PORT = 32768
_MADE_UP = re.compile(r"[a-z]+_[a-z]+\d?")
_NAMES = (
    "keen_ada",
    "calm_bell",
    "wise_curie",
    "bold_darwin",
    "kind_euler",
    "eager_franklin",
    "merry_gauss",
    "sharp_hopper",
)
_SHORT = 12


class Steady:
    """A filter over text; does nothing without a seed.

    Args:
        seed: Any text; the ids shown are made from it.
    """

    def __init__(self, seed: str = "") -> None:
        self.seed = seed
        self._known: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._kernels: dict[str, str] = {}
        self._given: tuple[dict[str, str], ...] = tuple({} for _ in _NEXT)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Steady:
        """Read PYDOCK_SEED."""
        return cls(environment.get("PYDOCK_SEED", ""))

    def __bool__(self) -> bool:
        return bool(self.seed)

    def know_name(self, name: str) -> None:
        """Replace a container's name from now on, if the engine made it up."""
        if _MADE_UP.fullmatch(name) and name not in self._names:
            number, first = divmod(len(self._names), len(_NAMES))
            self._names[name] = _NAMES[first] + (str(number) if number else "")

    def text(self, text: str) -> str:
        """Make one piece of output stable."""
        if not self.seed:
            return text
        text = _TIME.sub("2020-01-01T00:00:00Z", text)
        text = _ID.sub(lambda match: self._id(match[0]), text)
        text = _AGE.sub("Some time", text)
        text = _KERNEL.sub(lambda match: self._kernel(match[0]), text)
        text = _PID.sub("1000", text)
        for (pattern, form), given in zip(_NEXT, self._given, strict=True):
            text = pattern.sub(partial(_numbered, form, given), text)
        for name, shown in self._names.items():
            text = re.sub(rf"\b{name}\b", shown, text)
        text = _VOLUMES.sub("/var/lib/pydock/volumes/", text)
        return _DURATION.sub("0.0 s", text)

    def _kernel(self, found: str) -> str:
        """A version for each kernel in the order of their appearance: a virtual machine's is not the host's."""
        return self._kernels.setdefault(found, f"6.{len(self._kernels) + 1}.0")

    def _id(self, found: str) -> str:
        short = found[:_SHORT]
        if found.isdigit() and len(found) == _SHORT:  # more likely a number than an id
            return found
        if short not in self._known:
            self._known[short] = hashlib.sha256(f"{self.seed}:{len(self._known)}".encode()).hexdigest()
        return self._known[short][: len(found)]


def _numbered(form: str, given: dict[str, str], match: re.Match[str]) -> str:
    """Replace what the kernel numbers by its place in the order of appearance."""
    found, is_port = match[0], form == "{}"
    if is_port and int(found) < _FIRST_PORT:  # somebody chose it
        return found
    return given.setdefault(found, form.format(len(given) + _FIRST_PORT * is_port))
