"""The filters of `pahcl.signals.filters` for whole batches on the device."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.signal
import torch
from torch import Tensor

from pahcl.errors import SpecError
from pahcl.signals.filters import extension_length, sections
from pahcl.signals.spec import Filter


@lru_cache(maxsize=64)
def _response(fs: float, filter: Filter, size: int) -> Tensor:
    """Give the squared magnitude of the filter at the frequencies of an rfft of `size` samples."""
    frequencies = np.fft.rfftfreq(size, 1 / fs)
    _, response = scipy.signal.freqz_sos(sections(fs, filter), frequencies, fs=fs)
    return torch.from_numpy(np.abs(response) ** 2).to(torch.float32)


def extend(signal: Tensor, mask: Tensor | None, before: int, after: int) -> Tensor:
    """Continue each record oddly from the ends of its real signal: `[B, C, before + L + after]`.

    Where the reflection runs out of signal, its last value is held.
    """
    length = signal.shape[-1]
    time = torch.arange(-before, length + after, device=signal.device)
    if mask is None:
        source = (-time).clamp_max(length - 1).where(time < 0, time)
        source = (2 * (length - 1) - time).clamp_min(0).where(time >= length, source)
        extended = signal.index_select(-1, source)
        head = 2 * signal[..., :1] - extended[..., :before]
        tail = 2 * signal[..., -1:] - extended[..., before + length :]
        return torch.cat([head, signal, tail], dim=-1)
    first = mask.to(torch.uint8).argmax(dim=-1, keepdim=True)
    last = length - 1 - mask.flip(-1).to(torch.uint8).argmax(dim=-1, keepdim=True)
    is_head, is_tail = time < first, time > last
    source = torch.minimum(2 * first - time, last).where(is_head, time)
    source = torch.maximum(2 * last - time, first).where(is_tail, source)
    shape = (signal.shape[0], signal.shape[1], -1)
    reflected = signal.gather(-1, source.unsqueeze(1).expand(shape))
    edge = signal.gather(-1, first.where(is_head, last).unsqueeze(1).expand(shape))
    return reflected.where(~(is_head | is_tail).unsqueeze(1), 2 * edge - reflected)


def filter_batch(signal: Tensor, fs: float, filter: Filter, mask: Tensor | None = None) -> Tensor:
    """Filter a batch on its device with the response of `filter_signal`.

    The work is done in float32, also under autocast. The result is differentiable.

    Args:
        signal: `[B, C, L]`.
        fs: Sampling rate in Hz.
        filter: What to filter.
        mask: `[B, L]` bool, one stretch of real samples a record, or None if all are real. What
            lies outside does not reach the real samples.

    Returns:
        float32 `[B, C, L]`, 0 outside the mask.

    Raises:
        SpecError: A cut-off is not below half the sampling rate, or the signal has another shape.
    """
    if signal.ndim != 3:
        raise SpecError(f"filter_batch needs a signal [B, C, L], got {tuple(signal.shape)}.")
    signal = signal.to(torch.float32)
    if mask is not None:
        signal = signal.where(mask.unsqueeze(1), 0.0)
    if len(sections(fs, filter)) == 0 or signal.numel() == 0:
        return signal
    count, length = extension_length(fs, filter), signal.shape[-1]
    # The signal is continued up to a length that transforms fast: zeros would be a step.
    size = scipy.fft.next_fast_len(length + 2 * count, real=True)
    extended = extend(signal, mask, count, size - length - count)
    response = _response(fs, filter, size).to(signal.device)
    spectrum = torch.fft.rfft(extended) * response
    filtered: Tensor = torch.fft.irfft(spectrum, n=size)[..., count : count + length]
    return filtered.contiguous() if mask is None else filtered * mask.unsqueeze(1)
