"""The picture of one heart sound: what was heard, what was found in it, and how sure that is.

    from pahcl.reports.heart_sound import recording_figure, view_of_file
    recording_figure(view_of_file("recording.wav")).savefig("recording.png", dpi=150)

From above: heart rate and confidence over the whole recording; then, in rows of about ten seconds,
the sound with its envelope, its states and its cycles, over its spectrogram.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.signal
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from pahcl.reports.heart_sound_view import (
    REJECTED,
    HeartSoundView,
    draw_cycles,
    draw_states,
    excerpt_of,
    heading,
    legend_patches,
    printable,
)
from pahcl.reports.style import FAINT, INK, MUTED, PALETTE, styled
from pahcl.signals.heart_cycles import Prepared, Segmentation, Segmenter, hilbert_envelope, segment
from pahcl.signals.sound import SoundFile
from pahcl.signals.states import S1, S2

Values = npt.NDArray[np.float64]

ROW_SECONDS = 10.0
"""Seconds of a row; a shorter recording fills one."""

SPARED = 0.25
"""Share of a row that gets none of its own: the other rows are a little longer instead."""

LOWEST_HZ, HIGHEST_HZ = 25.0, 400.0
RANGE_DB = 44.0
"""Decibels below the loudest part of the excerpt that the spectrogram tells apart."""

_WINDOW, _HOP = 0.064, 0.01
_LOUDEST = 1.4
"""Height at which the sound is cut off: its loud parts have 1, and a knock may have 50."""

_WIDTH, _LEFT, _RIGHT = 12.0, 0.78, 0.85
_HEAD, _TREND, _SURE, _SOUND, _SPECTRUM, _FOOT = 1.12, 1.05, 0.5, 1.55, 1.0, 0.95


def view_of_file(
    path: str | Path,
    found: Segmentation | None = None,
    segmenter: str | Segmenter = "learned",
    excerpt: tuple[float, float] | None = None,
) -> HeartSoundView:
    """Read what of a sound file is drawn, and segment it where that has not been done.

    Args:
        path: The sound file.
        found: What was found in it; None looks for it.
        segmenter: Who looks for it.
        excerpt: Begin and end in seconds; None takes all, or the minute in the middle.

    Raises:
        RecordError: The file is no sound, or cut off.
    """
    found = segment(path, segmenter=segmenter) if found is None else found
    begin, end = excerpt_of(found.duration, excerpt)
    with SoundFile(Path(path)) as sound:
        first, stop = round(begin * sound.fs), min(round(end * sound.fs), sound.length)
        samples = sound.read(first, stop)
        return HeartSoundView(Path(path).name, samples, sound.fs, found, first / sound.fs)


@styled
def recording_figure(view: HeartSoundView) -> Figure:
    """Draw one recording.

    Args:
        view: The recording, or the excerpt of it that is shown.
    """
    seconds = view.end - view.begin
    rows = max(int(np.ceil(round(seconds / ROW_SECONDS - SPARED, 3))), 1)
    width = max(seconds / rows, ROW_SECONDS if rows > 1 else 1.0)
    row_height = _SOUND + _SPECTRUM + 0.55
    height = _HEAD + _TREND + _SURE + 0.75 + rows * row_height + _FOOT - 0.35
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    _title(figure, view, height)
    top = height - _HEAD
    trend = _axes(figure, top - _TREND, _TREND)
    _heart_rate(trend, view)
    top -= _TREND + 0.12
    _confidence(_axes(figure, top - _SURE, _SURE), view)
    top -= _SURE + 0.68
    sound = view.prepared()
    spectrum = _spectrogram(sound)
    image = None
    for row in range(rows):
        begin = view.begin + row * width
        span = begin, begin + width
        axes = _axes(figure, top - _SOUND, _SOUND)
        axes.set_xlim(*span)
        _sound(axes, view, sound)
        below = _axes(figure, top - _SOUND - _SPECTRUM - 0.06, _SPECTRUM)
        below.set_xlim(*span)
        image = _draw_spectrogram(below, view, spectrum)
        if row == rows - 1:
            below.set_xlabel("time from the begin of the recording [s]")
        if row == 0:
            _colour_bar(figure, below, image)
        top -= row_height
    figure.legend(
        handles=[
            Line2D([], [], color=MUTED, linewidth=0.8, label="sound, 25–400 Hz"),
            Line2D([], [], color=INK, linewidth=1.2, label="its envelope"),
            *legend_patches(),
            Line2D([], [], color=MUTED, linewidth=0.9, label="white: S1 begins"),
            Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), label="S2 begins"),
        ],
        loc="lower left",
        bbox_to_anchor=(_LEFT / _WIDTH - 0.008, 0.1 / height),
        ncols=10,
        columnspacing=1.2,
        handlelength=1.6,
        borderaxespad=0,
    )
    return figure


def _axes(figure: Figure, bottom: float, height: float) -> Axes:
    """Place axes over the width of the page, in inches from below."""
    wide, high = figure.get_size_inches()
    box = (_LEFT / wide, bottom / high, (wide - _LEFT - _RIGHT) / wide, height / high)
    return figure.add_axes(box)


def _title(figure: Figure, view: HeartSoundView, height: float) -> None:
    found = view.found
    left = (_LEFT - 0.4) / _WIDTH
    name = figure.text(left, 1 - 0.14 / height, printable(view.name), fontsize=12.5, va="top")
    name.set_fontweight("bold")
    colour = REJECTED if found.refusal or not view.is_kept.any() else INK
    text = heading(view)
    figure.text(left, 1 - 0.42 / height, text, fontsize=10.5, color=colour, va="top")
    shown = "all of it" if view.is_whole else f"{view.begin:.0f} to {view.end:.0f} s"
    facts = [
        f"segmenter {found.segmenter}",
        f"{found.duration:.1f} s at {view.fs:g} Hz, shown: {shown}",
        *_numbers(view),
        *found.notes,
    ]
    said = printable(" · ".join(facts), 175)
    figure.text(left, 1 - 0.67 / height, said, fontsize=8.5, color=MUTED, va="top")


def _numbers(view: HeartSoundView) -> list[str]:
    found = view.measures
    named = [
        ("SDNN", found.sdnn_ms, ".0f", " ms"),
        ("RMSSD", found.rmssd_ms, ".0f", " ms"),
        ("systole/diastole", found.systole_diastole_ratio, ".2f", ""),
    ]
    shown = [f"{name} {value:{form}}{unit}" for name, value, form, unit in named if value == value]
    return [*shown, f"{found.ectopic} ectopic"] if found.ectopic else shown


def _heart_rate(axes: Axes, view: HeartSoundView) -> None:
    """Draw the heart rate of every cycle over the whole recording."""
    cycles, kept, ectopic = view.found.cycles, view.is_kept, view.ectopic
    middle, rate = (cycles.start + cycles.end) / 2, cycles.heart_rate
    axes.set_xlim(0, max(view.found.duration, 1e-3))
    axes.tick_params(labelbottom=False)
    axes.set_ylabel("heart rate\n[1/min]")
    size = float(np.clip(400 / max(len(cycles), 1), 1.2, 4.5))
    normal = kept & ~ectopic
    if normal.any():
        axes.plot(*_broken(view, normal), color=PALETTE[2], linewidth=1, zorder=2)
        axes.plot(
            middle[normal], rate[normal], "o", color=PALETTE[2], markersize=size, label="kept"
        )
    if ectopic.any():
        axes.plot(
            middle[ectopic], rate[ectopic], "x", color=INK, markersize=size + 1.5,
            markeredgewidth=1.1, label="kept, but ectopic: not in SDNN and RMSSD",
        )  # fmt: skip
    low, high = _rates(rate[kept] if kept.any() else rate)
    axes.set_ylim(low, high)
    if (~kept).any():
        axes.plot(
            middle[~kept], np.clip(rate[~kept], low, high), "v", color=REJECTED, markersize=size,
            markerfacecolor="white", clip_on=False, label="rejected (at the edge if off the scale)",
        )  # fmt: skip
    if len(cycles):
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, handletextpad=0.3, borderpad=0.1
        )
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no cycle was found", transform=axes.transAxes, ha="center",
                  va="center", color=MUTED)  # fmt: skip
    _mark_excerpt(axes, view)


def _broken(view: HeartSoundView, normal: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
    """Give the line through normal cycles, which breaks where one is missing between two."""
    cycles = view.found.cycles.take(normal)
    apart = np.flatnonzero(cycles.start[1:] - cycles.end[:-1] > 0.01) + 1
    middle = np.insert((cycles.start + cycles.end) / 2, apart, np.nan)
    return middle, np.insert(cycles.heart_rate, apart, np.nan)


def _rates(rate: Values) -> tuple[float, float]:
    """Choose the limits of the heart rate, so that little variability does not look like much."""
    if not len(rate):
        return 40.0, 120.0
    low, high = float(rate.min()), float(rate.max())
    room = max(0.12 * (high - low), (24 - (high - low)) / 2, 3)
    return max(low - room, 0), high + room


def _confidence(axes: Axes, view: HeartSoundView) -> None:
    """Draw the confidence of each cycle over the whole recording."""
    cycles = view.found.cycles
    axes.set_xlim(0, max(view.found.duration, 1e-3))
    axes.set_ylim(0, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("confi-\ndence")
    for kept, colour in ((True, PALETTE[2]), (False, REJECTED)):
        here = view.is_kept == kept
        if here.any():
            lines = cycles.start[here], cycles.end[here]
            axes.hlines(cycles.confidence[here], *lines, color=colour, linewidth=1.8, zorder=3)
            axes.bar(
                cycles.start[here], cycles.confidence[here], cycles.end[here] - cycles.start[here],
                align="edge", color=colour, alpha=0.18, linewidth=0,
            )  # fmt: skip
    axes.set_xlabel("time [s]", labelpad=1)
    _mark_excerpt(axes, view)


def _mark_excerpt(axes: Axes, view: HeartSoundView) -> None:
    if not view.is_whole:
        axes.axvspan(view.begin, view.end, color=FAINT, alpha=0.35, linewidth=0, zorder=0)


def _sound(axes: Axes, view: HeartSoundView, sound: Prepared) -> None:
    """Draw the sound of one row with envelope, states and cycles."""
    signal, fs = sound.signal, sound.fs
    left, right = (time - view.begin for time in axes.get_xlim())
    here = slice(max(int(left * fs), 0), int(right * fs) + 1)
    peak = float(np.clip(np.abs(signal).max(initial=0.0) * 1.05, 0.5, _LOUDEST))
    time = view.begin + np.arange(len(signal)) / fs
    axes.plot(time[here], np.clip(signal[here], -peak, peak), color=MUTED, linewidth=0.55, zorder=2)
    hop = 0.005
    envelope = hilbert_envelope(signal, fs, hop=hop) if len(signal) else np.zeros(0)
    inside = slice(max(int(left / hop), 0), int(right / hop) + 1)
    moments = view.begin + np.arange(len(envelope)) * hop
    shown = np.clip(envelope[inside], 0, peak)
    axes.plot(moments[inside], shown, color=INK, linewidth=1.1, zorder=2.5)
    strip, bars = 0.16 * peak, 0.52 * peak
    axes.set_ylim(-peak - 1.5 * strip, peak + bars)
    draw_states(axes, view, -peak - 1.45 * strip, strip)
    draw_cycles(axes, view, peak + 0.06 * bars, 0.88 * bars)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x")
    axes.tick_params(labelbottom=False, length=0)
    axes.set_ylabel("sound\n(relative)", labelpad=12)
    for name in ("left", "bottom"):
        axes.spines[name].set_visible(False)
    if axes.get_xlim()[1] > view.end + 0.05:
        axes.axvspan(view.end, axes.get_xlim()[1], facecolor="white", zorder=3)


def _spectrogram(sound: Prepared) -> tuple[Values, Values, Values]:
    """Give frequencies, times from the begin of the excerpt, and power in dB below the loudest."""
    size, hop = round(_WINDOW * sound.fs), round(_HOP * sound.fs)
    signal = np.pad(np.asarray(sound.signal, dtype=np.float64), size // 2)
    frequency, time, power = scipy.signal.spectrogram(
        signal, sound.fs, "hann", nperseg=size, noverlap=size - hop, nfft=4 * size,
        mode="psd", scaling="spectrum",
    )  # fmt: skip
    inside = (frequency >= LOWEST_HZ) & (frequency <= HIGHEST_HZ)
    power = power[inside]
    loudest = float(np.quantile(power, 0.9995)) if power.size else 0.0
    # The sound is scaled, so that nothing as faint as the floor was heard: it is dark, not loudest.
    decibels = 10 * np.log10(np.maximum(power, 1e-30) / max(loudest, 1e-15))
    return frequency[inside], time - size / 2 / sound.fs, np.clip(decibels, -RANGE_DB, 0)


def _draw_spectrogram(
    axes: Axes, view: HeartSoundView, spectrum: tuple[Values, Values, Values]
) -> AxesImage:
    frequency, time, decibels = spectrum
    left, right = axes.get_xlim()
    here = (time + view.begin >= left - _HOP) & (time + view.begin <= right + _HOP)
    shown = time[here] + view.begin if here.any() else np.array([left, right])
    image = axes.imshow(
        decibels[:, here] if here.any() else np.full((2, 2), -RANGE_DB),
        aspect="auto", origin="lower", cmap="magma", vmin=-RANGE_DB, vmax=0,
        extent=(shown[0] - _HOP / 2, shown[-1] + _HOP / 2, frequency[0], frequency[-1]),
        interpolation="bilinear",
    )  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(LOWEST_HZ, HIGHEST_HZ)
    axes.set_yticks([25, 100, 200, 300, 400])
    axes.set_ylabel("frequency\n[Hz]")
    axes.grid(visible=False)
    states = view.states
    for state, dash in ((S1, (1, 0)), (S2, (2, 2))):
        begins = states.start[states.state == state]
        begins = begins[(begins >= left) & (begins <= right)]
        ends = LOWEST_HZ, HIGHEST_HZ
        axes.vlines(begins, *ends, colors="white", linewidth=0.7, linestyles=(0, dash), alpha=0.9)
    return image


def _colour_bar(figure: Figure, beside: Axes, image: AxesImage) -> None:
    box = beside.get_position()
    wide = figure.get_figwidth()
    axes = figure.add_axes((box.x1 + 0.1 / wide, box.y0, 0.1 / wide, box.height))
    bar = figure.colorbar(image, cax=axes, ticks=[-RANGE_DB, -RANGE_DB / 2, 0])
    bar.outline.set_visible(False)
    bar.ax.set_yticklabels([f"−{RANGE_DB:.0f}", f"−{RANGE_DB / 2:.0f}", "0"], fontsize=7.5)
    bar.set_label("dB re loudest", fontsize=7.5, labelpad=1)
