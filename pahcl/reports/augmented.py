"""The picture of what augmentations do to a signal: the waves and their spectrogram, row by row.

from pahcl.reports.augmented import augmented_figure, every_transform
augmented_figure(signal, fs, every_transform()).savefig("augmented.png", dpi=100)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pahcl.errors import UsageError
from pahcl.reports.style import FAINT, FULL_WIDTH, PALETTE, styled
from pahcl.signals import augment
from pahcl.signals.augment import PCG_BAND, Augmentation, Range, Transform, preset

Values = npt.NDArray[np.float64]

_ROW = 1.05  # inches
_WINDOW, _HOP = 0.064, 0.008  # seconds
_DARKEST_DB = 50.0


def every_transform(band: Range = PCG_BAND) -> dict[str, Augmentation]:
    """Name one of each transform, as strong as its settings go, and the preset of pretraining."""
    made: dict[str, Augmentation] = {}
    for name in augment.__all__:
        kind = getattr(augment, name)
        plain = isinstance(kind, type) and issubclass(kind, Transform) and kind is not Transform
        if plain and name not in {"RandomApply", "RandomChoice"}:
            made[name] = replace(kind(), p=1.0)
    return {**made, "preset: pretrain": preset("pretrain", band)}


@styled
def augmented_figure(
    signal: npt.NDArray[np.floating],
    fs: float,
    augmentations: Mapping[str, Augmentation],
    seed: int = 0,
    highest: float = 500.0,
) -> Figure:
    """Draw a signal, and under it what each augmentation makes of it.

    Args:
        signal: `[L]` of one lead.
        fs: Sampling rate in Hz.
        augmentations: What is drawn, by the name that its row gets.
        seed: Of the record's draws.
        highest: Highest frequency of the spectrograms in Hz.

    Returns:
        A row for the signal and one for each augmentation: the waves, the signal's own behind them
        in grey, its padding shaded; and the spectrogram over the same 50 dB in all rows.

    Raises:
        UsageError: The signal is not one lead.
    """
    if signal.ndim != 1 or not len(signal):
        raise UsageError(f"The picture shows one lead [L], got an array {signal.shape}.")
    clean = torch.from_numpy(np.asarray(signal, dtype=np.float32))[None, None]
    real = torch.ones(1, len(signal), dtype=torch.bool)
    rows = {"the record": (clean, real)}
    for name, one in augmentations.items():
        rows[name] = one(clean, fs, real, torch.tensor([seed]))
    figure = Figure(figsize=(FULL_WIDTH, _ROW * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), 2, sharex=True, squeeze=False)
    time, height = np.arange(len(signal)) / fs, float(clean.abs().max()) or 1.0
    loudest = _spectrogram(clean[0, 0], fs).max()
    for (wave, spectrum), (name, (changed, mask)) in zip(axes, rows.items(), strict=True):
        wave.plot(time, signal, color=FAINT, linewidth=0.8)
        wave.plot(time, changed[0, 0].numpy(), color=PALETTE[0], linewidth=0.8)
        wave.fill_between(
            time, -1e9, 1e9, where=~mask[0].numpy(), color=FAINT, alpha=0.4, step="mid"
        )
        wave.set(ylim=(-1.25 * height, 1.25 * height), yticks=[])
        wave.set_title(name)
        _draw_spectrogram(spectrum, _spectrogram(changed[0, 0], fs) - loudest, fs, highest)
    for axis in axes[-1]:
        axis.set(xlabel="time (s)", xlim=(0, len(signal) / fs))
    return figure


def _spectrogram(signal: torch.Tensor, fs: float) -> Values:
    """Give the power of one lead in dB, `[frequencies, times]`."""
    hop = max(1, round(_HOP * fs))
    size = max(2, round(_WINDOW * fs))
    window = torch.hann_window(size)
    frames = torch.stft(
        signal, size, hop, window=window, pad_mode="constant", return_complex=True
    ).abs()
    decibels: Values = 20 * np.log10(frames.numpy().astype(np.float64) + 1e-12)
    return decibels


def _draw_spectrogram(axis: Axes, decibels: Values, fs: float, highest: float) -> None:
    hop = max(1, round(_HOP * fs)) / fs
    extent = (-hop / 2, (decibels.shape[1] - 0.5) * hop, 0.0, fs / 2)
    axis.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=-_DARKEST_DB,
        vmax=0,
    )
    axis.set(ylim=(0, min(highest, fs / 2)), ylabel="Hz")
    axis.grid(visible=False)
