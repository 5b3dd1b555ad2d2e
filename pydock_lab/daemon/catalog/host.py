"""The host as a larder: its programs, with the libraries they need, copied into a tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from pydock_lab.daemon.catalog.loader import Loader
from pydock_lab.daemon.catalog.tree import RootTree
from pydock_lab.errors import Unavailable

# /bin first: on a host where /bin is a link to /usr/bin, programs still land where scripts look for them.
_SEARCH = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")

Relocate = Callable[[Path], str]


class Host:
    """The files of this host that stand-ins are assembled from."""

    def __init__(self, *, scratch: Path, wheelhouse: Path | None = None, search: tuple[str, ...] = _SEARCH) -> None:
        """Look for programs in `search`, then in PATH; stage what has to be unpacked in `scratch`."""
        self.scratch = scratch
        self.wheelhouse = wheelhouse
        self.loader = Loader()
        self._search = os.pathsep.join((*search, os.environ.get("PATH", "")))

    def which(self, name: str) -> Path | None:
        """Return the absolute path of a program, or None."""
        found = shutil.which(name, path=self._search)
        return Path(found) if found else None

    def add_program(self, tree: RootTree, name: str) -> bool:
        """Copy one program and all it needs to run; return False where the host has none of that name.

        Raises:
            Unavailable: the host has the program but lacks one of its libraries.
        """
        program = self.which(name)
        if program is None:
            return False
        if str(program) in tree:
            return True
        file = program.resolve()
        if file.name == program.name:
            tree.copy(str(program), file)
        else:
            tree.copy(str(file), file)
            tree.link(str(program), str(file))
        if self.loader.elf(file) is not None:
            missing = self.add_libraries(tree, [file])
            if missing:
                raise Unavailable(f"{program} needs {', '.join(sorted(missing))}, which is not on this machine")
        elif interpreter := _shebang(file):
            self.add_program(tree, interpreter)
        return True

    def add_libraries(self, tree: RootTree, files: Iterable[Path], relocate: Relocate = str) -> dict[str, Path]:
        """Copy the libraries and loaders that ELF files need; return what is missing, with who asks for it.

        Args:
            tree: Where they go.
            files: Absolute host paths.
            relocate: Image path of a host path, where it is another.
        """
        closure = self.loader.closure(list(files))
        for loader in sorted(closure.loaders):
            # A loader is found by its absolute path, not by name: the kernel reads it from PT_INTERP.
            if loader not in tree:
                tree.copy(loader, Path(loader).resolve())
        libc = next((path for name, path in closure.libraries.items() if name.startswith("libc.")), None)
        for name, library in sorted(closure.libraries.items()):
            place = relocate(library)
            if place not in tree:
                tree.copy(place, library.resolve())
            if libc is not None:
                _link_beside_libc(tree, name, place, relocate(libc))
        return closure.missing

    def add_library(self, tree: RootTree, name: str, like: Path) -> bool:
        """Copy a library that a program opens by name while it runs; `like` is a program it must fit."""
        elf = self.loader.elf(like)
        library = self.loader.find(name, elf.machine) if elf is not None else None
        if library is None:
            return False
        if str(library) not in tree:
            tree.copy(str(library), library.resolve())
        self.add_libraries(tree, [library])
        return True


def _link_beside_libc(tree: RootTree, name: str, place: str, libc: str) -> None:
    """Let the image's loader find a library outside of its default directories.

    An image has no ld.so.cache, and the host's own runpaths need not hold in it. The directory of libc
    is a default directory of every loader, whatever the distribution calls it.
    """
    directory = os.path.dirname(libc)  # noqa: PTH120  # image paths are strings
    if os.path.dirname(place) not in (directory, f"/usr{directory}", directory.removeprefix("/usr")):  # noqa: PTH120
        beside = f"{directory}/{name}"
        if beside not in tree:
            tree.link(beside, place)


def _shebang(file: Path) -> str | None:
    with file.open("rb") as opened:
        line = opened.readline(256)
    words = line[2:].split() if line.startswith(b"#!") else []
    if not words:
        return None
    if words[0].endswith(b"/env") and len(words) > 1:
        return words[1].decode(errors="replace")
    return words[0].decode(errors="replace")
