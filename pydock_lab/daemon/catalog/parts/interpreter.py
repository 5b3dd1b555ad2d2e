"""The Python that runs this daemon, as an image has it: under /usr/local, with its library and pip.

A virtual environment is only a view of another installation; what is copied is
that one, wherever it lies (pyenv, uv, conda, /usr). Tests, Tk and static
libraries stay behind, and so does every package somebody installed beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.daemon.catalog.wheelhouse import wheels
from pydock_lab.errors import Unavailable

# What the real image removes too, or what needs a display.
_LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "idlelib", "tkinter", "turtledemo", "turtle.py", "site-packages", "dist-packages"}
    | {"EXTERNALLY-MANAGED", "__pycache__"}
)
_LEFT_OUT_PREFIXES = ("config-", "_test", "_ctypes_test", "_xxtest", "xxlimited", "_tkinter")

_DEBIAN_WHEELS = Path("/usr/share/python-wheels")

# The base installation answers for itself: in a virtual environment our own sysconfig speaks of the environment.
_QUESTION = """
import importlib.util, json, ssl, sys, sysconfig
paths = sysconfig.get_paths()
ensurepip = importlib.util.find_spec("ensurepip")
print(json.dumps({
    "prefix": sys.base_prefix,
    "library": sorted({paths["stdlib"], paths["platstdlib"]}),
    "packages": paths["purelib"],
    "tag": sys.implementation.cache_tag,
    "version": ".".join(map(str, sys.version_info[:3])),
    "ensurepip": ensurepip.submodule_search_locations[0] if ensurepip else "",
}))
"""


@dataclass(frozen=True)
class Installation:
    """One Python installation of this host; all paths absolute on the host.

    Attributes:
        executable: The interpreter itself, no link.
        prefix: Where it is installed.
        library: Directories of the standard library.
        packages: Where pip installs to.
        tag: `cpython-311`: the middle of the names of its compiled files.
        version: `3.11.7`.
        ensurepip: Directory of the ensurepip package, or "".
    """

    executable: Path
    prefix: str
    library: list[str]
    packages: str
    tag: str
    version: str
    ensurepip: str

    def place(self, path: Path) -> str:
        """Return the image path of a host path: a prefix of one's own becomes /usr/local; /usr stays /usr.

        A distribution's Python has /usr compiled into its search for packages.
        """
        text = str(path)
        if self.prefix != "/usr" and text.startswith(f"{self.prefix}/"):
            return "/usr/local" + text.removeprefix(self.prefix)
        return text

    @property
    def name(self) -> str:
        """`python3.11`"""
        return "python" + self.version.rpartition(".")[0]


def this_installation() -> Installation:
    """Ask the installation behind the interpreter that runs this daemon."""
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    done = subprocess.run([executable, "-I", "-c", _QUESTION], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise Unavailable(f"{executable} does not say where it is installed: {done.stderr.strip()}")
    return Installation(executable=executable, **json.loads(done.stdout))


def add_interpreter(tree: RootTree, host: Host) -> dict[str, str]:
    """Add Python, its standard library and pip; the fact `python_version` says which.

    Raises:
        Unavailable: a library of the interpreter or a wheel of pip is not on this machine.
    """
    python = this_installation()
    binary = f"{_prefix(python)}/bin/{python.name}"
    tree.copy(binary, python.executable)
    # Where the official image has them, and where scripts therefore look for them.
    for name in ("python3", "python"):
        tree.link(f"/usr/local/bin/{name}", binary)
    extensions: list[Path] = []
    for directory in python.library:
        for file in _library_files(Path(directory), python.tag):
            if file.suffix == ".so":
                if host.loader.closure([file]).missing:
                    continue
                extensions.append(file)
            tree.copy(python.place(file), file)
    missing = host.add_libraries(tree, [python.executable, *extensions], relocate=python.place)
    if missing:
        raise Unavailable(f"{python.executable} needs {', '.join(sorted(missing))}, which is not on this machine")
    for wheel in wheels(_DEBIAN_WHEELS):
        # Debian's ensurepip, and so `python -m venv`, has its wheels here instead of in _bundled.
        if python.prefix == "/usr":
            tree.copy(str(wheel), wheel)
    _add_pip(tree, host, python)
    return {"python_version": python.version}


def _prefix(python: Installation) -> str:
    return "/usr" if python.prefix == "/usr" else "/usr/local"


def _library_files(directory: Path, tag: str) -> Iterator[Path]:
    """Yield the files of the standard library, compiled ones only where they are up to date."""
    for entry in sorted(directory.iterdir()):
        if entry.name in _LEFT_OUT or entry.name.startswith(_LEFT_OUT_PREFIXES):
            continue
        if entry.is_dir():
            yield from _library_files(entry, tag)
        elif entry.is_file() and entry.suffix != ".a":
            yield entry
            compiled = directory / "__pycache__" / f"{entry.stem}.{tag}.pyc"
            if entry.suffix == ".py" and compiled.is_file() and _is_current(compiled, entry):
                yield compiled


def _is_current(compiled: Path, source: Path) -> bool:
    """Tell whether a .pyc carries the time and size of its source (PEP 552)."""
    with compiled.open("rb") as file:
        header = file.read(16)
    status = source.stat()
    stamp = int(status.st_mtime).to_bytes(4, "little") + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return header[4:] == bytes(4) + stamp


def _add_pip(tree: RootTree, host: Host, python: Installation) -> None:
    wheel = _pip_wheel(host, python)
    packages = python.place(Path(python.packages))
    tree.directory(packages)
    script = (
        f"#!{_prefix(python)}/bin/{python.name}\n"
        "import sys\n\nfrom pip._internal.cli.main import main\n\nsys.exit(main())\n"
    )
    for name in ("pip", "pip3", f"pip{python.name.removeprefix('python')}"):
        tree.file(f"/usr/local/bin/{name}", script, 0o755)

    def unpack() -> None:
        """Add pip compiled, or the first `pip` of every build step would spend a second on that."""
        stage = host.scratch / "pip"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(stage)
        compile_all = ["-I", "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
        subprocess.run([python.executable, *compile_all, "-s", stage, "-p", packages, stage], check=True, timeout=120)
        for file in sorted(stage.rglob("*")):
            if file.is_file():
                tree.file(f"{packages}/{file.relative_to(stage)}", file.read_bytes())

    status = wheel.stat()
    tree.defer(f"{wheel.name} {status.st_size} {status.st_mtime_ns}", unpack)


def _pip_wheel(host: Host, python: Installation) -> Path:
    bundled = Path(python.ensurepip) / "_bundled"
    for place in (host.wheelhouse, bundled if python.ensurepip else None, _DEBIAN_WHEELS):
        if place is not None and (found := [wheel for wheel in wheels(place) if wheel.name.startswith("pip-")]):
            return found[-1]
    raise Unavailable(
        "there is no wheel of pip on this machine",
        hint="apt-get install python3-venv, or put one into the wheelhouse: pip download pip -d .wheelhouse",
    )
