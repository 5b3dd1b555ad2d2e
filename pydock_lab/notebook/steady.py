"""The same output every time: stable ids and clocks for printed course notes and regression tests.

With `PYDOCK_SEED` set, everything the notebook shows passes through `Steady`, in two steps. Of *data*, before
it is drawn or laid out in columns, it leaves vague what a run measures or a machine numbers (durations,
memory, pids, ages), so that no bar and no column depends on it. In *text* it renumbers ids, inodes, cables,
ports and subnets that nobody chose, in the order in which they are first seen, and moves the engine's
directories to where they usually lie. What was typed in a cell stays, and so do sizes. The engine and its objects
keep their real ids; `$web` still names the real container.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydock_lab.notebook.html import Bundle
from pydock_lab.notebook.numbered import Addresses, Ids, Numbered, Typed
from pydock_lab.spec.made_up_names import ADJECTIVES, SURNAMES

_ID = re.compile(
    r"(?<![0-9A-Za-z_.-])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9A-Za-z_]|-(?!json\.log))"
    r"|(?:(?<=\bfile:)|(?<=\bdir:)|(?<=\bmulti:))[0-9a-f]{16}(?=…)"  # what COPY took, as `history` cuts it off
    r"|(?<=/layers/)[0-9a-f]{16}\b|(?<=\b_ses\.)[0-9a-f]{12}\b|(?<=\bpd[0-9a-f]{4}-)[0-9a-f]{8}\b"
)
_HELD = re.compile(r"(?<=lesson-checkpoint:)([\w.-]+-)([0-9a-f]{12})\b")  # by `%lab checkpoint`, of a container
_AGE = re.compile(
    r"(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour|day|week|month|year)s?)"
    r"(?= ago| \(|$|\s{2}|<)"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?[+-]\d\d:?\d\d(?: [A-Z]{3,4})?|Z)?")
_DURATION = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?: ms| s)(?!\w)")
_KERNEL = re.compile(r"(?<=Linux )\d+\.\d+\.[\w.+-]*\w")
_NAME = re.compile(rf"\b(?:{'|'.join(ADJECTIVES)})_(?:{'|'.join(SURNAMES)})\d{{0,4}}\b")
_PID = re.compile(r"(?<=/proc/)\d+(?=/ns/)|(?<=\bpid )\d{2,}\b(?! inside)")
_EXEC_S = re.compile(r"(?<=execDuration=)\d+")
_FREE = re.compile(r"\d+(?:\.\d+)? ?[kMGT]B(?= free)")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# The engine's directories: where the layers, volumes and files of containers are, and where bundles are.
_DATA_ROOT = re.compile(
    r"/(?!v1\.)[^\s\"'<>:=,]*(?=/(?:(?:init-)?layers/[0-9a-f]{16}|containers/[0-9a-f]{12}|volumes/[\w.-]+/_data))"
    r"|(?<=Docker Root Dir: )\S+|(?<=layers are kept below )[^\s<]+|(?<= free at )[^\s<]+"
    r"|(?<= images stay in )/[^\s<]+(?=/registry)"
)
_EXEC_ROOT = re.compile(r"/[^\s\"'<>:=,]*(?=/bundles/[0-9a-f]{12})")
_BRIDGE = re.compile(r"\bpd[0-9a-f]{4}(?=-\w)")
_CABLE = re.compile(r"\bpd[0-9a-f]{4}v[0-9a-f]{8}\b")
_INODE = re.compile(r"\b4026[5-9]\d{5}\b")
_LINK = re.compile(r"(?<=@if)\d+|(?<![\w.:-])\d+(?=: (?:pd|veth))")
_PORT = re.compile(
    r"(?:(?<=[:=])|(?<=[Pp]ort )|(?<=: \")|(?<=:&quot;))[3-6]\d{4}(?![\w.])|(?<![\w.:])[3-6]\d{4}(?= → \d| : 1)"
)
_REGISTRY = re.compile(r"\bregistry on 127\.0\.0\.1:(\d+)")
_REGISTRY_PORT = "5000"  # where the engine's registry listens unless something else does
_FIRST_PORT, _LAST_PORT = 32768, 60999  # which Linux gives where nobody asks for one

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
_MEASURED: Mapping[str, Any] = {
    # A trace's and a virtual machine's.
    **dict.fromkeys(("duration_ns", "took_ns", "boot_ns", "container_start_ns", "resident_bytes"), 0),
    "cpu": [0.0], "memory": [0],  # the views' samples
    # Columns of `stats` and `top`, by their names in a template and their headings.
    **dict.fromkeys(("CPUPerc", "CPU %", "MemPerc", "MEM %"), "0.00%"),
    **dict.fromkeys(("MemUsage", "MEM USAGE / LIMIT", "NetIO", "NET I/O", "BlockIO", "BLOCK I/O"), "0B / 0B"),
    "C": "0", "STIME": "00:00", "START": "00:00", "TIME": "00:00:00",
}  # fmt: skip
_MOMENTS: Mapping[str, int] = {"at_ns": 1_000_000_000, "now_ns": 1_000_000_000, "began_ns": 1, "ended_ns": 1}
"""Points in time, and how far the next one is: a second on the wall, next to nothing on a stopwatch."""
_PIDS = frozenset({"pid", "parent", "engine_pid", "Pid", "PID", "PPID"})
_FIRST_PID = 1000
_FIRST_NS = int(datetime(2020, 1, 1).timestamp()) * 1_000_000_000


class Steady:
    """A filter over what is shown; does nothing without a seed.

    Args:
        seed: Any text; the ids shown are made from it.
        typed: Tells whether a text stands in a cell of the notebook.
    """

    def __init__(self, seed: str = "", typed: Typed = lambda text: False) -> None:
        self.seed = seed
        self._typed = typed
        self._ids = Ids(seed)
        self._names = Numbered(_name)
        self._kernels = Numbered(lambda n: f"6.{n + 1}.0", lambda n: f"6.{n + 1}.1")
        self._pids = Numbered(lambda n: str(_FIRST_PID + n))
        self._addresses = Addresses(typed)
        self._inodes = Numbered(lambda n: f"402653{n:04}", lambda n: f"402654{n:04}")
        self._cables = Numbered(lambda n: f"pd0000v{n:08x}", lambda n: f"pd0000v1{n:07x}")
        self._links = Numbered(lambda n: str(100 + n), lambda n: str(500 + n))
        self._ports = Numbered(lambda n: str(_FIRST_PORT + n), lambda n: str(50_000 + n))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, typed: Typed = lambda text: False) -> Steady:
        """Read PYDOCK_SEED."""
        return cls(environment.get("PYDOCK_SEED", ""), typed)

    def __bool__(self) -> bool:
        return bool(self.seed)

    def sketch(self) -> Steady:
        """Return a copy for a picture that will be replaced: what it shows by chance is not counted."""
        if not self.seed:
            return self
        sketch = Steady(self.seed, self._typed)
        for name, known in vars(self).items():
            if isinstance(known, (Numbered, Addresses)):
                getattr(sketch, name).take_over(known)
        return sketch

    def bundle(self, plain: str, html: str) -> Bundle:
        """Make a mimebundle of a picture's two forms; the plain one counts first."""
        return {"text/plain": self.text(plain), "text/html": self.text(html, html=True)}

    def text(self, text: str, *, html: bool = False) -> str:
        """Make one piece of output stable; none passes through twice."""
        if not self.seed:
            return text
        text = _UUID.sub(lambda match: self._uuid(match[0], html), self._vague(text))
        text = _DATA_ROOT.sub("/var/lib/pydock", text)
        text = _EXEC_ROOT.sub("/run/pydock", text)
        text = _KERNEL.sub(lambda match: self._kernels.of(match[0], html=html), text)
        text = _ID.sub(lambda match: self._id(match, html), text)
        text = _HELD.sub(lambda match: match[1] + self._ids.of(match[2], html=html), text)
        text = _CABLE.sub(lambda match: self._cables.of(match[0], html=html), text)
        text = _BRIDGE.sub("pd0000", text)
        text = _INODE.sub(lambda match: self._inodes.of(match[0], html=html), text)
        text = _LINK.sub(lambda match: self._links.of(match[0], html=html), text)
        if registry := _REGISTRY.search(text):
            self._ports.show(registry[1], _REGISTRY_PORT)
        text = _PORT.sub(lambda match: self._port(match[0], html), text)
        return self._addresses.text(text, html=html)

    def data(self, value: Any) -> Any:
        """Leave vague what was measured in a document that is to be drawn, or in rows that are to be laid out."""
        if not self.seed:
            return value
        return self._data(value, {at: number for number, at in enumerate(sorted(set(_moments(value))))})

    def _data(self, value: Any, clock: Mapping[int, int], key: object = "") -> Any:
        if key in _PIDS and str(value).isdecimal() and value not in (0, "0"):
            return type(value)(self._pids.of(str(value)))
        if key in _MEASURED:
            return _MEASURED[str(key)]
        if key in _MOMENTS:
            return _FIRST_NS + clock[value] * _MOMENTS[str(key)]
        if isinstance(value, str):
            return _PID.sub(lambda match: self._pids.of(match[0]), self._vague(value))
        if isinstance(value, Mapping):
            return _by_address({name: self._data(each, clock, name) for name, each in value.items()})
        if isinstance(value, (list, tuple)):
            return sorted((self._data(each, clock) for each in value), key=self._place)
        return value

    def _place(self, row: Any) -> tuple[int, str]:
        """Volumes without a name stand where their random name would be: put them last, in the order of first sight."""
        name = row[0] if isinstance(row, list) and row else _volume_name(row) if isinstance(row, dict) else ""
        if not (isinstance(name, str) and _ANONYMOUS.fullmatch(name)):
            return 0, ""
        return self._ids.place(name), _ID.sub("", str(row))

    def _vague(self, text: str) -> str:
        """Replace times, ages and durations, and names that the engine made up: all that changes a column's width."""
        text = _TIME.sub("2020-01-01T00:00:00Z", text)
        text = _AGE.sub("a while", text)
        text = _DURATION.sub("0.0 s", text)
        text = _FREE.sub("… GB", text)
        text = _EXEC_S.sub("0", text)
        return _NAME.sub(lambda match: match[0] if self._typed(match[0]) else self._names.of(match[0]), text)

    def _id(self, match: re.Match[str], html: bool) -> str:
        found = match[0]
        before = match.string[match.start() - 1 : match.start()]
        alone = len(found) == 12  # others have a prefix that tells what they are, or are too long for a number
        if alone and found.isdecimal() and (before not in ("", "\n", '"', "'", ">", "/") or self._typed(found)):
            return found  # more likely a number than an id
        return self._ids.of(found, html=html)

    def _uuid(self, found: str, html: bool) -> str:
        digits = self._ids.of(found.replace("-", ""), html=html)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))

    def _port(self, found: str, html: bool) -> str:
        if not _FIRST_PORT <= int(found) <= _LAST_PORT or self._typed(found):
            return found
        return self._ports.of(found, html=html)


def _name(number: int) -> str:
    times, first = divmod(number, len(_NAMES))
    return _NAMES[first] + (str(times) if times else "")


def _moments(value: Any) -> Iterator[int]:
    """Every point in time that a document tells."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in _MOMENTS:
                yield each
            else:
                yield from _moments(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _moments(each)


def _by_address(value: dict[Any, Any]) -> dict[Any, Any]:
    """An object whose fields have ids for names, a network's containers, in the order of their addresses."""
    if not all(isinstance(each, dict) and "IPv4Address" in each for each in value.values()):
        return value
    return dict(sorted(value.items(), key=lambda item: (len(item[1]["IPv4Address"]), item[1]["IPv4Address"])))


def _volume_name(row: dict[str, Any]) -> Any:
    return row.get("VOLUME NAME") or (row.get("Name") if "Mountpoint" in row or "Driver" in row else "")
