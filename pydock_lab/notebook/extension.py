"""`%load_ext pydock_lab`: registers the magics, their completion and their help.

No daemon is started, and neither docker-py nor a widget library is imported,
before the first command needs them: loading must not be felt.
"""

from __future__ import annotations

import os
import re

from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.client.docker_command import put_on_path, take_off_path
from pydock_lab.notebook.completion import make_matcher
from pydock_lab.notebook.magics import CELL_MAGICS, LINE_MAGICS, NOUNS, LabMagics

_QUESTION = re.compile(rf"^\s*%({'|'.join(('docker', *NOUNS))})\s(.*\S)\s*\?\s*$")


def load(shell: InteractiveShell) -> None:
    """Register the magics with a running shell."""
    magics = LabMagics(shell)
    for name, function in magics.line_functions().items():
        shell.register_magic_function(function, magic_kind="line", magic_name=name)
    for name, function in magics.cell_functions().items():
        shell.register_magic_function(function, magic_kind="cell", magic_name=name)
    unload_hooks(shell)
    shell.Completer.custom_matchers.append(make_matcher(NOUNS, lambda: magics.connection, magics.variables))
    shell.input_transformers_cleanup.append(help_asked)
    put_on_path(os.environ, magics.lesson)


def help_asked(lines: list[str]) -> list[str]:
    """Read `%container run?` as `%container run --help`; IPython would look for a Python object `run`."""
    if len(lines) != 1 or not (match := _QUESTION.match(lines[0])):
        return lines
    return [f"%{match[1]} {match[2]} --help\n"]


def unload_hooks(shell: InteractiveShell) -> None:
    """Take completion and help away, also those that an earlier load of a changed package left."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != "pydock_lab"]
    transformers = shell.input_transformers_cleanup
    transformers[:] = [each for each in transformers if getattr(each, "__module__", "") != __name__]


def unload(shell: InteractiveShell) -> None:
    """Take the magics away again; the daemon and its containers go on."""
    take_off_path(os.environ)
    unload_hooks(shell)
    registered = shell.magics_manager.magics
    for kind, names in (("line", LINE_MAGICS), ("cell", CELL_MAGICS)):
        for name in names:
            registered[kind].pop(name, None)
