"""The figures as a Markdown table for people and as JSON for the next run."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from benchmarks.scenarios import Figure


def markdown(figures: list[Figure]) -> str:
    """Return the table; a budget that is missed is said so in its row."""
    lines = ["| what | pydock | docker | runc | ratio | budget |", "|---|---:|---:|---:|---:|---|"]
    for figure in figures:
        cells = [_amount(figure, name) for name in ("pydock", "docker", "runc")]
        ratio = f"1/{1 / figure.ratio:.1f}" if figure.ratio is not None and 0 < figure.ratio < 1 else ""
        if figure.ratio is not None and figure.ratio >= 1:
            ratio = f"{figure.ratio:.1f}"
        lines.append(f"| {figure.what} | {' | '.join(cells)} | {ratio} | {figure.note or verdict(figure)} |")
    return "\n".join(lines)


def verdict(figure: Figure) -> str:
    """Say what was allowed and whether it was kept."""
    if figure.ratio_budget is not None:
        tight = figure.ratio_budget < 1
        budget = f"≤ 1/{1 / figure.ratio_budget:.0f}" if tight else f"≤ {figure.ratio_budget:.1f}"
        if figure.ratio is None:
            return budget
        return f"{budget} {'kept' if figure.ratio <= figure.ratio_budget else '**missed**'}"
    ours = figure.values.get("pydock")
    if figure.limit is not None:
        budget = f"≤ {figure.limit:.0f} {figure.unit}"
        if ours is None:
            return budget
        return f"{budget} {'kept' if ours <= figure.limit else '**missed**'}"
    return ""


def _amount(figure: Figure, name: str) -> str:
    value = figure.values.get(name)
    return "" if value is None else f"{value:.1f} {figure.unit}" if value < 100 else f"{value:.0f} {figure.unit}"


def write_json(path: Path, figures: list[Figure]) -> None:
    """Write every figure with its samples and the machine it was taken on."""
    document = {
        "machine": {
            "kernel": platform.release(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "load": os.getloadavg(),
        },
        "figures": [
            {
                "what": figure.what,
                "unit": figure.unit,
                "values": figure.values,
                "ratio": figure.ratio,
                "ratio_budget": figure.ratio_budget,
                "limit": figure.limit,
                "samples": figure.samples,
                "note": figure.note,
            }
            for figure in figures
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
