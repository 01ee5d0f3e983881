"""Fixed windows in place of cycles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pahcl.errors import UsageError
from pahcl.signals.heart_cycles.windows import cut_windows, fixed_windows


@pytest.mark.parametrize(
    ("duration", "starts", "last"),
    [
        (5.0, [0, 1, 2, 3], 5.0),
        (5.5, [0, 1, 2, 3, 4], 5.5),
        (2.0, [0], 2.0),
        (0.7, [0], 0.7),
        (3.9999999999, [0, 1, 2], 3.9999999999),
    ],
)
def test_windows_cover_a_recording_to_its_end(
    duration: float, starts: list[float], last: float
) -> None:
    windows = fixed_windows(duration)
    assert windows.start.tolist() == starts
    assert windows.end[-1] == pytest.approx(last)
    assert np.isnan([windows.systole, windows.s2, windows.diastole]).all()
    assert (windows.confidence == 1).all()


def test_a_shorter_last_window_may_be_left_out() -> None:
    assert fixed_windows(5.5, partial=False).end.tolist() == [2, 3, 4, 5]
    assert len(fixed_windows(1.5, partial=False)) == 0


@given(
    st.lists(st.floats(0.05, 90), min_size=1, max_size=9),
    st.floats(0.2, 4),
    st.floats(0.2, 1),
)
def test_many_recordings_at_once_are_each_as_alone(
    durations: list[float], seconds: float, share: float
) -> None:
    hop = seconds * share
    cut = cut_windows(np.array(durations), seconds, hop)
    for row, duration in enumerate(durations):
        own = cut.recording == row
        alone = fixed_windows(duration, seconds, hop)
        np.testing.assert_allclose(cut.start[own], alone.start)
        np.testing.assert_allclose(cut.end[own], alone.end)
        assert cut.end[own].max() == pytest.approx(duration)
        assert (np.diff(cut.start[own]) <= seconds + 1e-9).all()


@pytest.mark.parametrize(("seconds", "hop"), [(0, 1), (2, 0), (1, 2), (2, -1)])
def test_windows_that_cannot_be_are_refused(seconds: float, hop: float) -> None:
    with pytest.raises(UsageError, match="Windows need"):
        fixed_windows(5.0, seconds, hop)
