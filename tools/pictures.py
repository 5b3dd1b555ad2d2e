"""`make pictures`: retake the pictures of the documentation.

They are among those that a browser test takes of a lesson in JupyterLab, so each shows
what a learner sees, and none can show what no longer works.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
TEST = "tests/browser/test_lesson.py"
PICTURES = {
    "lesson.png": "lesson05-layers-light.png",
    "build.png": "lesson05-build-light.png",
    "volume.png": "lesson05-volume-dark.png",
}
"""Name in docs/images, and in .artifacts, where the test keeps what it has seen."""


def main() -> int:
    """Run the test, then take over its pictures; return the test's exit status."""
    done = subprocess.run([sys.executable, "-m", "pytest", TEST], cwd=ROOT, check=False)
    if done.returncode == 0:
        for name, kept in PICTURES.items():
            shutil.copyfile(ROOT / ".artifacts" / kept, IMAGES / name)
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
