"""pydock_lab: learn what containers are by running real ones in a notebook.

Importing the package is cheap (no third-party import): the magics, the client
and the engine are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics of `%load_ext pydock_lab` with a running IPython shell."""
    from pydock_lab.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again."""
    from pydock_lab.notebook.extension import unload

    unload(shell)
