"""`make lab`: prepare the base images, start JupyterLab at the first lesson and print its URL.

Its root is the project's, so that the lessons' links to the source open.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydock_lab.client.connection import Connection
from pydock_lab.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
FIRST = "00-start-here.ipynb"
BASES = ("hello-world", "busybox", "alpine", "python", "redis")


def prepare() -> None:
    """Have every base image of the lessons in the engine; what can't be had is said, not fatal."""
    connection = Connection()
    have = {tag.partition(":")[0] for image in connection.client.images.list() for tag in image.tags}
    for base in BASES:
        if base in have:
            continue
        print(f"preparing {base}", flush=True)
        for line in connection.client.api.pull(base, tag="latest", stream=True, decode=True):
            if message := line.get("error"):
                print(f"  {base}: {message}", file=sys.stderr)
    connection.close()


def main() -> int:
    """Prepare, then become JupyterLab."""
    os.environ.setdefault("PYDOCK_WHEELHOUSE", str(ROOT / ".wheelhouse"))
    try:
        prepare()
    except LabError as error:
        print(f"make lab: {error.message}\n{error.hint or ''}".rstrip(), file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={ROOT}", "--no-browser"]
    command.append(
        f"--LabApp.default_url=/lab/tree/notebooks/{FIRST}"
    )  # the URL that JupyterLab prints leads there too
    # A class without internet is not to be asked about news and newer versions. JupyterLab 4.6 asks about news even
    # where there are none to be had, unless its settings (tools/jupyter) have the answer.
    paths = [str(ROOT / "tools" / "jupyter"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    return os.execv(sys.executable, [*command, *sys.argv[1:]])


if __name__ == "__main__":
    raise SystemExit(main())
