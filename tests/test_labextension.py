"""The JupyterLab extension is well typed, and in everything that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from tools.labextension import SHARE, Workshop

ROOT = Path(__file__).resolve().parent.parent
DATA = "pydock_lab-0.1.0.data/data/"
WHERE = f"{DATA}{SHARE}/"


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a `wheel` or `sdist` as pip does, without a network."""
    code = f"import hatchling.build as b; print(b.build_{kind}({str(target)!r}))"
    return target / run(sys.executable, "-c", code, cwd=source).splitlines()[-1]


def test_types() -> None:
    run(sys.executable, "-m", "tools.labextension", "--check")


def test_a_source_distribution_carries_it_and_needs_no_node(tmp_path: Path) -> None:
    run("tar", "-C", str(tmp_path), "-xf", str(build("sdist", ROOT, tmp_path)))
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    needed = "import hatchling.build as b; print(b.get_requires_for_build_wheel())"
    assert "node" not in run(sys.executable, "-c", needed, cwd=unpacked)
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as wheel:
        names = set(wheel.namelist())
        built = json.loads(wheel.read(f"{WHERE}package.json"))["jupyterlab"]["_build"]
        server = json.loads(wheel.read(f"{DATA}etc/jupyter/jupyter_server_config.d/pydock_lab.json"))
    assert {WHERE + built["load"], f"{WHERE}install.json"} <= names
    assert server["ServerApp"]["jpserver_extensions"] == {"pydock_lab.server": True}
    assert not any("node_modules" in name or name.endswith((".ts", ".tsx")) for name in names)
    assert not (unpacked / "build" / "labextension" / "node_modules").exists()


def test_this_installation_has_it_as_the_sources_are() -> None:
    """Editable installs too; where this fails: pip install -e ."""
    workshop = Workshop(ROOT)
    assert workshop.is_current
    installed = Path(sys.prefix) / SHARE
    for path in workshop.result.rglob("*"):
        if path.is_file():
            assert (installed / path.relative_to(workshop.result)).read_bytes() == path.read_bytes()
    assert (Path(sys.prefix) / "etc/jupyter/jupyter_server_config.d/pydock_lab.json").is_file()
