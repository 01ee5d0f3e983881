from __future__ import annotations

import re

import numpy as np
import pytest
from fake_runs import signal_of
from hypothesis import given
from hypothesis import strategies as st

from pahcl.errors import SpecError
from pahcl.reports.strips import STEP_MM, Strip, Trace, lay_out
from pahcl.signals.leads import STANDARD_12
from pahcl.signals.recording import Recording


def recording(
    signal: np.ndarray, fs: float = 100.0, leads: tuple[str, ...] = STANDARD_12, unit: str = "mV"
) -> Recording:
    return Recording(signal.astype(np.float32), fs, leads, unit, "r1", "p1")


def millimetres(trace: Trace) -> np.ndarray:
    """Read a drawn line back: height above the baseline in mm, one number a sample."""
    numbers = [int(n) for n in re.findall(r"-?\d+", trace.path)]
    steps = np.cumsum([numbers[1], *numbers[3::2]])
    assert set(numbers[2::2]) <= {1}
    return -steps * STEP_MM


def traces_of(strip: Strip, lead: str) -> list[Trace]:
    return [trace for trace in strip.traces if trace.lead == lead]


def test_twelve_leads_stand_in_four_columns_over_a_rhythm_strip() -> None:
    strip = lay_out(recording(signal_of(1, 100.0)))
    assert [trace.lead for trace in strip.traces] == [
        *("I", "aVR", "V1", "V4"),
        *("II", "aVL", "V2", "V5"),
        *("III", "aVF", "V3", "V6"),
        "II",
    ]
    assert len(strip.pulses) == 4
    assert strip.width == 250 + 2 * 5 + 10
    columns = sorted({trace.x for trace in strip.traces})
    np.testing.assert_allclose(np.diff(columns), 62.5)
    assert strip.mm_per_sample == 0.25


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1.0), ("uV", 1000.0), ("1e-4 V", 10.0)])
def test_a_millivolt_is_ten_millimetres(unit: str, factor: float) -> None:
    signal = signal_of(2, 100.0)
    strip = lay_out(recording(signal * factor, unit=unit))
    rhythm = traces_of(strip, "II")[-1]
    two = signal[1] - np.median(signal[1])
    np.testing.assert_allclose(millimetres(rhythm), 10 * two, atol=STEP_MM / 2 + 1e-4)


def test_a_column_shows_its_quarter_of_the_time() -> None:
    signal = signal_of(3, 100.0)
    strip = lay_out(recording(signal))
    chest = signal[STANDARD_12.index("V4")]
    shown = millimetres(traces_of(strip, "V4")[0])
    np.testing.assert_allclose(
        shown, 10 * (chest - np.median(chest))[750:], atol=STEP_MM / 2 + 1e-4
    )


def test_baselines_and_edges_lie_on_large_squares() -> None:
    strip = lay_out(recording(5 * signal_of(4, 100.0)))
    for place in (*strip.pulses, strip.width, strip.height):
        assert place % 5 == 0
    assert list(strip.pulses) == sorted(strip.pulses)


def test_a_short_record_and_other_leads_are_stacked() -> None:
    short = lay_out(recording(signal_of(5, 100.0, 3.0)))
    assert [trace.lead for trace in short.traces] == list(STANDARD_12)
    two = lay_out(recording(signal_of(5, 100.0)[:2], leads=("I", "II")))
    assert [trace.lead for trace in two.traces] == ["I", "II"]
    assert len({trace.x for trace in two.traces}) == 1


def test_a_long_record_shows_its_middle_and_says_so() -> None:
    signal = signal_of(6, 100.0, 30.0)
    strip = lay_out(recording(signal))
    assert strip.seconds == 10
    assert "middle 10 s of 30.0 s" in strip.note
    middle = signal[1, 1000:2000]
    shown = millimetres(traces_of(strip, "II")[-1])
    np.testing.assert_allclose(shown, 10 * (middle - np.median(middle)), atol=0.02)


def test_a_high_rate_is_drawn_at_ten_samples_a_millimetre() -> None:
    strip = lay_out(recording(signal_of(7, 1000.0), fs=1000.0))
    assert strip.mm_per_sample == pytest.approx(0.1)
    assert len(millimetres(traces_of(strip, "II")[-1])) == 2500


def test_missing_samples_are_bridged_and_counted() -> None:
    signal = signal_of(8, 100.0)
    signal[1, 100:120] = np.nan
    strip = lay_out(recording(signal))
    assert "20 missing samples" in strip.note
    assert np.isfinite(millimetres(traces_of(strip, "II")[-1])).all()


def points(strip: Strip, trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Give a drawn line in mm of the sheet, with points between its samples."""
    heights = millimetres(trace)
    x = trace.x + np.arange(len(heights)) * strip.mm_per_sample
    fine = np.linspace(x[0], x[-1], 40 * len(x))
    return fine, trace.y - np.interp(fine, x, heights)


@pytest.mark.parametrize("record", range(8))
@pytest.mark.parametrize("begin", [0, 30, 55])
def test_no_line_runs_through_the_name_of_a_lead(record: int, begin: int) -> None:
    strip = lay_out(recording(1.8 * signal_of(record, 100.0, 11.0)[:, begin : begin + 1000]))
    for named in strip.traces:
        left, foot = named.label
        assert 0 < left - named.x < 10
        for trace in strip.traces:
            x, y = points(strip, trace)
            inside = (x > left) & (x < left + 2.2 * len(named.lead))
            assert not (inside & (y > foot - 2.5) & (y < foot)).any(), (named.lead, trace.lead)


@pytest.mark.parametrize("sign", [1, -1])
def test_tall_waves_stay_on_the_sheet(sign: int) -> None:
    strip = lay_out(recording(sign * 5 * signal_of(1, 100.0)))
    for trace in strip.traces:
        heights = trace.y - millimetres(trace)
        assert heights.max() < strip.height
        assert heights.min() > 0 or trace.lead not in ("I", "aVR", "V1", "V4")


def test_a_unit_that_is_no_voltage_is_refused() -> None:
    with pytest.raises(SpecError):
        lay_out(recording(signal_of(9, 100.0), unit="bpm"))


@given(
    length=st.integers(0, 1300),
    scale=st.floats(0, 50, allow_nan=False),
    leads=st.integers(1, 12),
)
def test_any_signal_can_be_laid_out(length: int, scale: float, leads: int) -> None:
    signal = scale * np.random.default_rng(length).normal(size=(leads, length))
    strip = lay_out(recording(signal, leads=STANDARD_12[:leads]))
    assert strip.width > 0
    assert strip.height > 0
    assert len(strip.traces) >= leads
