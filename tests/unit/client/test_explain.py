"""The trace as text: what the engine did, in full where a cut would lose the point."""

from __future__ import annotations

from pydock_lab.client.explain import trace_text


def test_inodes_of_all_namespaces_are_shown() -> None:
    kinds = ("network", "uts", "pid", "ipc", "mount", "cgroup")
    inodes = {kind: 4026531840 + place for place, kind in enumerate(kinds)}
    steps = [{"where": "host", "description": "Fork a process", "duration_ns": 120_000}]
    data = {"namespaces": inodes, "duration_ns": 2_000_000, "steps": steps}
    event = {"at_ns": 0, "source": "runtime", "kind": "container.launched", "data": data}
    text = trace_text([event])
    assert all(f"{kind}:{inode}" in text for kind, inode in inodes.items())
    assert "0.12 ms  host         Fork a process" in text and "2.00 ms" in text
