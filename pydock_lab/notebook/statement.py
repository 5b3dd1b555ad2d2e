"""The line of code that a magic stands on: whether its value is used, and which variables it sees.

`ps = %container ls` is quiet, `%container ls` is not: IPython displays only the
last expression of a cell; a learner who writes two commands on two lines wants
to see both. So a magic whose line is a statement of its own shows its result itself.
"""

from __future__ import annotations

import ast
import sys
from collections import ChainMap
from collections.abc import Mapping
from types import FrameType
from typing import Any

_MAGIC_CALLS = frozenset({"run_line_magic", "run_cell_magic"})


def value_is_used() -> bool:
    """Whether the cell that is running assigns or passes on the value of the magic that asks this."""
    frame = _calling_frame()
    if frame is None:
        return True
    from executing import Source

    node = Source.executing(frame).node
    return node is not None and not isinstance(getattr(node, "parent", None), ast.Expr)


def visible_names(namespace: Mapping[str, Any]) -> Mapping[str, Any]:
    """The notebook's variables, and before them those of the function that the running magic stands in."""
    frame = _calling_frame()
    return namespace if frame is None else ChainMap(dict(frame.f_locals), dict(namespace))


def _calling_frame() -> FrameType | None:
    """The frame of the learner's own code: the caller of IPython's run_…_magic."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_back
        if frame.f_code.co_name in _MAGIC_CALLS:
            return caller
        frame = caller
    return None
