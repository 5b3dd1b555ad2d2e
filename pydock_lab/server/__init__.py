"""The Jupyter server's side of the JupyterLab panel: what the page may see and do without a kernel."""

from __future__ import annotations


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter's server where the extension is."""
    return [{"module": "pydock_lab.server.extension"}]
