"""Pictures of heart sounds: what stands in them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import BboxBase

from pahcl.reports.datasets import save
from pahcl.reports.heart_sound import ROW_SECONDS, recording_figure, view_of_file
from pahcl.reports.heart_sound_sheet import (
    PER_SHEET,
    THUMBNAIL_SECONDS,
    Missing,
    contact_sheet,
    thumbnail_span,
)
from pahcl.reports.heart_sound_view import (
    HATCH,
    KEPT,
    REJECTED,
    STATE_COLOURS,
    HeartSoundView,
    excerpt_of,
    printable,
)
from pahcl.signals.heart_cycles import HeartCycles, Segmentation, whole_cycles
from pahcl.signals.states import DIASTOLE, S1, S2, SYSTOLE, HeartStates
from pahcl.simulation.heart_sound import Heart, HeartSound, Rhythm, Scene, simulate

FS = 2000.0


@pytest.fixture(scope="module")
def sound() -> HeartSound:
    """Simulate 24 s of a heart at rest."""
    return simulate(Heart(rhythm=Rhythm(rate=70)), Scene(fs=FS, duration=24), (3, 1))


def view_of(sound: HeartSound, unsure: tuple[int, ...] = (), begin: float = 0.0) -> HeartSoundView:
    """Let what is true of a simulated heart have been found, some cycles without confidence."""
    cycles = whole_cycles(sound.states)
    sure = np.full(len(cycles), 0.9, dtype=np.float32)
    sure[list(unsure)] = 0.1
    times = {name: getattr(cycles, name) for name in ("start", "systole", "s2", "diastole", "end")}
    found = Segmentation(
        sound.states, HeartCycles(**times, confidence=sure), sound.scene.duration, "rhythm"
    )
    signal = sound.signal[round(begin * FS) :]
    return HeartSoundView("heart.wav", signal, FS, found, begin)


def refused(seconds: float = 4.0) -> HeartSoundView:
    nothing = HeartStates(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int8))
    why = "near silence: nothing moves but the lowest steps of the converter"
    found = Segmentation(nothing, HeartCycles.empty(), seconds, "rhythm", why)
    return HeartSoundView("silence.wav", np.zeros(round(seconds * FS)), FS, found)


def labelled(figure: Figure, label: str) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_ylabel().startswith(label)]


def texts(figure: Figure) -> str:
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join([*(text.get_text() for text in figure.texts), *inside])


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def strips(axes: Axes, colour: str) -> list[PolyCollection]:
    """Give the collections of one colour: the strip below, and the shade of a sound."""
    boxes = [one for one in axes.collections if isinstance(one, PolyCollection)]
    return [one for one in boxes if to_hex(np.asarray(one.get_facecolor())[0][:3]) == colour]


def spans(one: PolyCollection) -> npt.NDArray[np.float64]:
    """Give begin and end of each box of a collection, `[N, 2]`."""
    edges = [np.asarray(path.vertices)[:, 0] for path in one.get_paths()]
    return np.array([[edge.min(), edge.max()] for edge in edges])


def test_a_recording_stands_in_rows_of_ten_seconds(sound: HeartSound) -> None:
    view = view_of(sound)
    figure = recording_figure(view)
    sounds, spectra = labelled(figure, "sound"), labelled(figure, "frequency")
    assert [axes.get_xlim() for axes in sounds] == [(0, 10), (10, 20), (20, 30)]
    assert [axes.get_xlim() for axes in spectra] == [(0, 10), (10, 20), (20, 30)]
    assert all(axes.get_ylim() == (25, 400) for axes in spectra)
    for axes, begin in zip(sounds, (0, 10, 20), strict=True):
        line, envelope = axes.lines[:2]
        time = np.asarray(line.get_xdata())
        assert time[0] == pytest.approx(begin, abs=0.002)
        assert time[-1] == pytest.approx(min(begin + 10, 24), abs=0.002)
        # The envelope lies on the sound's crests, and is never below zero.
        height = np.asarray(envelope.get_ydata())
        assert height.min() >= 0
        assert 0.1 < height.max() <= np.abs(np.asarray(line.get_ydata())).max() * 1.05


def test_states_are_drawn_where_they_are(sound: HeartSound) -> None:
    view = view_of(sound)
    axes = labelled(recording_figure(view), "sound")[0]
    states = sound.states
    for state, colour in STATE_COLOURS.items():
        here = (states.state == state) & (states.start < 10)
        wanted = np.stack([states.start[here], states.end[here]], axis=1)
        drawn = strips(axes, colour)
        assert len(drawn) == (2 if state in (S1, S2) else 1)
        for one in drawn:
            np.testing.assert_allclose(spans(one), wanted, atol=1e-9)


def test_kept_and_rejected_cycles_differ_without_colours(sound: HeartSound) -> None:
    view = view_of(sound, unsure=(2, 5))
    figure = recording_figure(view)
    axes = labelled(figure, "sound")[0]
    cycles = view.found.cycles
    here = np.flatnonzero(cycles.start < 10)
    drawn = bars(axes)
    assert len(drawn) == len(here)
    high = {bar.get_y() for k, bar in zip(here, drawn, strict=True) if view.is_kept[k]}
    low = {bar.get_y() for k, bar in zip(here, drawn, strict=True) if not view.is_kept[k]}
    assert len(high) == len(low) == 1
    assert max(low) < min(high)
    for k, bar in zip(here, drawn, strict=True):
        kept = k not in (2, 5)
        assert (bar.get_hatch() or "") == ("" if kept else HATCH)
        assert to_hex(bar.get_edgecolor()) == (KEPT if kept else REJECTED)
        assert bar.get_x() == pytest.approx(cycles.start[k], abs=0.02)
        assert bar.get_x() + bar.get_width() == pytest.approx(cycles.end[k], abs=0.02)
    confidences = [text.get_text() for text in axes.texts]
    assert confidences.count("0.10") == 2
    assert confidences.count("0.90") >= len(here) - 3
    # Rejected cycles have no states, as in the file.
    first = spans(strips(axes, STATE_COLOURS[SYSTOLE])[0])
    assert not ((first[:, 0] >= cycles.start[2]) & (first[:, 1] <= cycles.end[2])).any()


def test_heart_rate_and_confidence_of_the_whole_recording(sound: HeartSound) -> None:
    view = view_of(sound, unsure=(4,), begin=8.0)
    figure = recording_figure(view)
    (rate,) = labelled(figure, "heart rate")
    cycles, kept = view.found.cycles, view.is_kept
    assert rate.get_xlim() == (0, 24)
    line, dots, *_, rejected = rate.lines
    shown = np.asarray(dots.get_ydata(), dtype=np.float64)
    np.testing.assert_allclose(shown, cycles.heart_rate[kept & ~view.ectopic])
    assert np.isnan(np.asarray(line.get_ydata(), dtype=float)).sum() >= 1  # broken at the rejected
    assert np.asarray(rejected.get_ydata()).shape == (1,)
    low, high = rate.get_ylim()
    assert high - low >= 24 or (cycles.heart_rate.max() - cycles.heart_rate.min()) > 18
    (sure,) = labelled(figure, "confi")
    lines = [one for one in sure.collections if isinstance(one, LineCollection)]
    assert sum(len(one.get_segments()) for one in lines) == len(cycles)
    # The part that is shown below is marked.
    assert [patch.get_x() for patch in bars(rate)] == [8]


def test_premature_beats_are_marked(sound: HeartSound) -> None:
    heart = Heart(rhythm=Rhythm(rate=70, extrasystoles=0.1))
    view = view_of(simulate(heart, Scene(fs=FS, duration=24), (3, 5)))
    assert view.ectopic.any()
    figure = recording_figure(view)
    (rate,) = labelled(figure, "heart rate")
    crosses = [line for line in rate.lines if line.get_marker() == "x"]
    assert len(crosses) == 1
    assert len(np.asarray(crosses[0].get_xdata())) == view.ectopic.sum()
    assert f"{view.ectopic.sum()} ectopic" in texts(figure)


def test_the_title_says_what_was_found(sound: HeartSound) -> None:
    view = view_of(sound, unsure=(1,))
    said = texts(recording_figure(view))
    count = len(view.found.cycles)
    assert "heart.wav" in said
    assert f"{view.measures.heart_rate:.0f}/min · confidence 0.90 · {count - 1} of {count}" in said
    assert f"SDNN {view.measures.sdnn_ms:.0f} ms" in said
    assert "24.0 s at 2000 Hz, shown: all of it" in said


def test_spectrogram_and_boundaries(sound: HeartSound) -> None:
    view = view_of(sound)
    axes = labelled(recording_figure(view), "frequency")[0]
    (image,) = axes.images
    power = np.asarray(image.get_array())
    assert power.max() == 0
    left, right, low, high = image.get_extent()
    assert (left, right) == pytest.approx((0, 10), abs=0.03)
    assert (low, high) == pytest.approx((25, 400), abs=8)
    # First sounds are louder than what lies between the sounds, in the lowest quarter.
    states = sound.states.sampled(power.shape[1] / 10, power.shape[1])
    quarter = power[: len(power) // 4]
    assert quarter[:, states == S1].mean() > quarter[:, states == DIASTOLE].mean() + 6
    first, second = (one for one in axes.collections if isinstance(one, LineCollection))
    for one, state in ((first, S1), (second, S2)):
        begins = [segment[0][0] for segment in one.get_segments()]
        wanted = sound.states.start[(sound.states.state == state) & (sound.states.start <= 10)]
        np.testing.assert_allclose(begins, wanted)
    assert first.get_linestyle() != second.get_linestyle()


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0])
def test_what_rounding_leaves_of_a_constant_is_not_drawn_as_sound(value: float) -> None:
    silent = refused()
    view = replace(silent, signal=np.full(len(silent.signal), value))
    assert not view.prepared().signal.any()
    figure = recording_figure(view)
    spectrogram = next(axes.images[0] for axes in figure.axes if axes.images)
    assert float(np.max(spectrogram.get_array())) <= -40, "silence is dark"


def test_a_refusal_is_said_and_nothing_is_invented() -> None:
    figure = recording_figure(refused())
    said = texts(figure)
    assert "refused: near silence" in said
    assert "no cycle was found" in said
    assert not any(bars(axes) for axes in labelled(figure, "sound"))


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.0])
def test_short_recordings_are_drawn(seconds: float, tmp_path: Path) -> None:
    view = refused(seconds)
    figure = recording_figure(view)
    assert len(labelled(figure, "sound")) == 1
    save(figure, tmp_path / "a.png")
    save(contact_sheet([view], "one"), tmp_path / "b.png")


def test_signals_with_gaps_and_names_of_all_alphabets(sound: HeartSound, tmp_path: Path) -> None:
    signal = sound.signal.copy()
    signal[4000:5000] = np.nan
    found = view_of(sound).found
    view = HeartSoundView("été/心音 $x_1$.wav", signal, FS, found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(recording_figure(view), tmp_path / "a.png")
        save(contact_sheet([view], "心音"), tmp_path / "b.png")
    assert printable("été 心音 $x$") == "été □□ $x$"
    assert printable("a" * 50 + "_07.wav", 20).endswith("_07.wav")
    assert len(printable("a" * 50, 20)) == 20


def test_what_is_shown_of_a_long_recording() -> None:
    assert excerpt_of(35.0) == (0, 35)
    assert excerpt_of(3600.0) == (1770, 1830)
    assert excerpt_of(3600.0, (100, 130)) == (100, 130)
    assert excerpt_of(3600.0, (100, 1000)) == (100, 160)
    assert excerpt_of(20.0, (5, 90)) == (5, 20)
    assert excerpt_of(20.0, (50, 90)) == (0, 20)
    assert thumbnail_span(3.0) == (0, 3)
    assert thumbnail_span(30.0) == (12.5, 17.5)


def test_a_picture_in_two_lines(sound: HeartSound, tmp_path: Path) -> None:
    path = tmp_path / "heart.wav"
    soundfile.write(path, sound.signal, int(FS))
    view = view_of_file(path, view_of(sound).found, excerpt=(5, 9))
    assert (view.begin, view.end) == pytest.approx((5, 9))
    np.testing.assert_allclose(view.signal, sound.signal[10_000:18_000], atol=1e-4)
    (axes,) = labelled(recording_figure(view), "sound")
    assert axes.get_xlim() == (5, 9)
    assert view.end - view.begin < ROW_SECONDS


def test_a_contact_sheet_shows_every_recording(sound: HeartSound) -> None:
    begin, end = thumbnail_span(24.0)
    whole = view_of(sound, unsure=(12,))
    part = sound.signal[round(begin * FS) : round(end * FS)]
    one = HeartSoundView("heart.wav", part, FS, whole.found, begin)
    figure = contact_sheet([one, refused(), Missing("text.wav", "not a sound")], "3 recordings")
    assert len(figure.axes) == 3
    said = texts(figure)
    count = len(whole.found.cycles)
    rate = f"{one.measures.heart_rate:.0f}/min · confidence 0.90 · {count - 1} of {count} cycles"
    for text in ("3 recordings", "heart.wav", rate, "silence.wav", "refused: near silence",
                 "text.wav", "not a sound", "unreadable"):  # fmt: skip
        assert text in said
    assert figure.axes[0].get_xlim() == (begin, begin + THUMBNAIL_SECONDS)
    shown = (whole.found.cycles.start < end) & (whole.found.cycles.end > begin)
    assert len(bars(figure.axes[0])) == shown.sum()


def test_nothing_overlaps_on_a_full_sheet(sound: HeartSound) -> None:
    views = [view_of(sound, begin=20.0)] * PER_SHEET
    figure = contact_sheet(views, "many")
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    require_apart([axes.get_tightbbox(renderer) for axes in figure.axes])


def test_texts_of_a_recording_do_not_overlap(sound: HeartSound) -> None:
    figure = recording_figure(view_of(sound, unsure=(2,)))
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    heads = [text.get_window_extent(renderer) for text in figure.texts]
    legend = figure.legends[0].get_window_extent(renderer)
    assert legend.x1 <= figure.bbox.x1
    require_apart([*heads, *boxes, legend])
    assert all(box is not None and figure.bbox.containsx(box.x0) for box in boxes)


def require_apart(boxes: Sequence[BboxBase | None]) -> None:
    """Refuse boxes that share more than a pixel."""
    for k, box in enumerate(boxes):
        for other in boxes[k + 1 :]:
            assert box is not None
            assert other is not None
            assert not box.padded(-1).overlaps(other.padded(-1)), (box, other)


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        (4.0, [(0, 4)]),
        (10.2, [(0, 10.2)]),
        (13.0, [(0, 10), (10, 20)]),
        (22.0, [(0, 11), (11, 22)]),
    ],
)
def test_a_little_that_is_left_has_no_row_of_its_own(
    seconds: float, rows: list[tuple[float, float]]
) -> None:
    figure = recording_figure(refused(seconds))
    assert [axes.get_xlim() for axes in labelled(figure, "sound")] == rows
