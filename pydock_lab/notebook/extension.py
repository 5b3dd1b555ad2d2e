"""`%load_ext pydock_lab`: registers the magics, and nothing else.

No daemon is started, and neither docker-py nor a widget library is imported,
before the first command needs them: loading must not be felt.
"""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.notebook.magics import CELL_MAGICS, LINE_MAGICS, LabMagics


def load(shell: InteractiveShell) -> None:
    """Register the magics with a running shell."""
    magics = LabMagics(shell)
    for name, function in magics.line_functions().items():
        shell.register_magic_function(function, magic_kind="line", magic_name=name)
    for name, function in magics.cell_functions().items():
        shell.register_magic_function(function, magic_kind="cell", magic_name=name)


def unload(shell: InteractiveShell) -> None:
    """Take the magics away again; the daemon and its containers go on."""
    registered = shell.magics_manager.magics
    for kind, names in (("line", LINE_MAGICS), ("cell", CELL_MAGICS)):
        for name in names:
            registered[kind].pop(name, None)
