"""A live view reads the engine while a page shows it, and rests when the page says that it has gone."""

from __future__ import annotations

import threading

import pytest

from pydock_lab.notebook.widgets import watched


def thread_of(name: str) -> threading.Thread | None:
    return next((thread for thread in threading.enumerate() if thread.name == name), None)


def test_a_view_that_has_gone_from_the_page_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_EVERY_S", 0.01)
    monkeypatch.setattr(watched, "_RESTING_S", 0.0)
    looked = threading.Semaphore(0)

    def look() -> dict[str, str]:
        looked.release()
        return {}

    view = watched.WatchedWidget({}, look)
    try:
        for _ in range(2):  # what was put away may be shown again
            view._watch(view, {"type": "watch"}, None)
            reader = thread_of("pydock-view")
            assert reader is not None
            assert looked.acquire(timeout=10)
            view._watch(view, {"type": "rest"}, None)
            reader.join(timeout=10)
            assert not reader.is_alive()
    finally:
        view.close()
