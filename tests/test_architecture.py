"""The house rules that a tool can check: imports, types, lint, and the launcher's bare start."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_contracts() -> None:
    run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")


def test_ruff() -> None:
    run(sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")


def test_mypy() -> None:
    run(sys.executable, "-m", "mypy", "--no-error-summary")


@pytest.mark.parametrize("module", ["keeper", "request", "oci"])
def test_runtime_needs_nothing_but_the_standard_library(module: str) -> None:
    """`-S` leaves site-packages out, so an import of anything else fails."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pydock_lab.daemon.runtime.{module}"
    run(sys.executable, "-SIE", "-c", code)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys; import pydock_lab; heavy = {'docker', 'aiohttp', 'IPython', 'pyroute2', 'msgspec', 'asyncio'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    run(sys.executable, "-c", code)


def test_files_stay_readable() -> None:
    """A file past 450 lines is asking for a second noun."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*ROOT.glob("pydock_lab/**/*.py"), *ROOT.glob("benchmarks/*.py")]
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert not long
