"""`make lessons`: run every lesson on a fresh engine and keep its outputs in the notebook.

The outputs are what GitHub shows and what `tests/notebooks` compares with, so
they are made with a fixed seed and without what only a running kernel can show.
Arguments name the lessons; without any, all are run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from pydock_lab.client.daemon_start import answers_ping
from tools import lesson_links

ROOT = Path(__file__).resolve().parent.parent
SEED = "lesson"
BASES = ("alpine", "busybox", "hello-world", "python:3.12-alpine", "redis")
"""Images that are there before a lesson begins, so that its outputs don't tell of pulls."""
READERS_ROOT = "/home/you/pydock_lab"
"""Where the committed outputs say that the project lies."""
_WIDGET = "application/vnd.jupyter.widget-view+json"
_START_TIMEOUT_S = 60


@contextmanager
def fresh_engine() -> Iterator[str]:
    """A daemon on roots of its own; yields its address."""
    with tempfile.TemporaryDirectory(prefix="pd-") as name:
        root = Path(name)
        socket = root / "docker.sock"
        command = [sys.executable, "-m", "pydock_lab.daemon", "-H", f"unix://{socket}"]
        command += ["--data-root", str(root / "data"), "--exec-root", str(root / "exec")]
        with (root / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not answers_ping(socket):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the engine does not start:\n{(root / 'log').read_text()}")
            time.sleep(0.05)
        try:
            yield f"unix://{socket}"
        finally:
            daemon.terminate()
            daemon.wait()


def run(path: Path, environment: dict[str, str]) -> NotebookNode:
    """Execute a lesson in its own directory; a cell that fails unasked stops it."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=300, resources=resources, store_widget_state=False)
    client.execute(env=environment)
    return settle(notebook)


def settle(notebook: NotebookNode) -> NotebookNode:
    """Take out what is different in every run or needs a kernel."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    text: str = nbformat.writes(notebook).replace(str(ROOT), READERS_ROOT)
    return nbformat.reads(text, as_version=4)


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Drop what needs a kernel, and make one output of a stream's pieces, as JupyterLab shows them."""
    joined: list[NotebookNode] = []
    for output in outputs:
        output.get("data", {}).pop(_WIDGET, None)
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def main(arguments: list[str]) -> int:
    """Run lessons and write them back."""
    lessons = [Path(name) for name in arguments] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for lesson in lessons:
        if not lesson.exists():
            raise SystemExit(f"there is no lesson {lesson}")
    with fresh_engine() as address:
        with contextlib.closing(docker.DockerClient(address, version="auto", timeout=300)) as client:
            for base in BASES:
                client.images.pull(*base.split(":"))
            ledgers = str(Path(address.removeprefix("unix://")).parent / "user")  # not among the user's own
            environment = os.environ | {"DOCKER_HOST": address, "PYDOCK_SEED": SEED, "PYDOCK_DATA_ROOT": ledgers}
            environment.setdefault("PYDOCK_WHEELHOUSE", str(ROOT / ".wheelhouse"))
            for lesson in lessons:
                print(f"running {lesson.name}", flush=True)
                # What another lesson has built would be among the reasons in this one's build views.
                client.api.prune_builds(all=True)
                nbformat.write(lesson_links.renew(run(lesson, environment)), lesson)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
