"""Where the wheels are that `pip install` finds inside an image when there is no package index.

`make lab` fills `.wheelhouse` in the checkout (tools/wheelhouse.txt lists what);
a class without a checkout puts wheels into the data root.

Environment:
    PYDOCK_WHEELHOUSE  a directory of wheels, used instead of the others
"""

from __future__ import annotations

import os
from pathlib import Path

import pydock_lab


def find_wheelhouse(data_root: Path) -> Path | None:
    """Return the first directory that holds wheels: $PYDOCK_WHEELHOUSE, the data root's, the checkout's."""
    if chosen := os.environ.get("PYDOCK_WHEELHOUSE"):
        places = [Path(chosen)]
    else:
        places = [data_root / "wheelhouse", Path(pydock_lab.__file__).parents[1] / ".wheelhouse"]
    return next((place for place in places if wheels(place)), None)


def wheels(directory: Path) -> list[Path]:
    """Return the wheels in a directory, by name."""
    return sorted(directory.glob("*.whl"))
