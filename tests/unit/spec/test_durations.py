from __future__ import annotations

import pytest

from pydock_lab.spec.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "Less than a second"), (0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"),
     (61, "About a minute"), (150, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"),
     (3 * 3600, "3 hours"), (47 * 3600, "47 hours"), (3 * 86400, "3 days"), (20 * 86400, "2 weeks"),
     (90 * 86400, "3 months"), (800 * 86400, "2 years"), (3 * 365 * 86400, "3 years")],
)  # fmt: skip
def test_words_of_a_duration(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
