"""The lessons' own engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.conftest import Daemon


@contextlib.contextmanager
def lesson_shell(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """An IPython shell with the magics, on an engine."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("IPYTHONDIR", "/nowhere")
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "pydock_lab")
    yield shell
    shell.run_line_magic("unload_ext", "pydock_lab")
    shell.history_manager.end_session()
