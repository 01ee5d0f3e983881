"""What `pahcl bench pcg` measures: how fast heart cycles are found and prepared, in what memory.

Simulated recordings lie as wav in the page cache. Every side reads them one after the other in a
process of its own, with one thread, and ends with what it keeps: the original with a file per
cycle, ours with a table of cycles. Round by round the sides take turns, so that what else the
machine does hits all of them.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pahcl.commands._bench import Figure, peak_memory
from pahcl.commands._bench_prepare import process
from pahcl.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

RATIO_GOAL = 3.0
"""Of the original's processor time."""

RATE_GOALS = {"rhythm": 2000.0, "learned": 500.0}
"""Seconds of sound that a core prepares in a second."""

MEMORY_GOAL = 1.3
"""Of the peak on a tenth of the recording."""

MEMORY_FS = 44100
"""Rate in Hz of the two channels of the long recording."""

_UNIT = "s of sound / CPU s"


def measure(
    recordings: int, seconds: float, fs: int, rounds: int, minutes: float, console: Console
) -> dict[str, Figure]:
    """Simulate recordings, prepare them in turns, and segment one that is long.

    Args:
        recordings: Number of recordings.
        seconds: Length of each.
        fs: Their rate in Hz.
        rounds: Rounds, after one that is not counted.
        minutes: Length of the long recording, or 0.
        console: Says what is being done, on a terminal.

    Returns:
        The figures by name.

    Raises:
        UsageError: A number is too small to measure anything.
    """
    if recordings < 1 or seconds < 4 or rounds < 1 or fs < 1000 or 0 < minutes < 1:
        raise UsageError(
            "`bench pcg` needs a recording, 4 s of it, 1000 Hz, a round, and a minute of the long "
            "recording (or `--memory-minutes 0`)."
        )
    with tempfile.TemporaryDirectory(prefix="pahcl-bench-") as folder:
        with console.status("simulating"):
            paths = simulated(Path(folder), recordings, seconds, fs)
        with console.status("time"):
            figures = speed(paths, recordings * seconds, rounds, Path(folder) / "out")
        if minutes:
            with console.status("memory"):
                figures |= memory(Path(folder), minutes)
    return figures


def speed(paths: list[Path], seconds: float, rounds: int, out: Path) -> dict[str, Figure]:
    """Compare the sides in processor time."""
    sides: dict[str, Callable[[list[Path], Path], float]] = {
        "original": original,
        "rhythm": rhythm,
        "judged": judged,
        "learned": learned,
    }
    spent: dict[str, list[float]] = {side: [] for side in sides}
    with process() as first, process() as second, process() as third, process() as fourth:
        pools = dict(zip(sides, (first, second, third, fourth), strict=True))
        for turn in range(rounds + 1):
            for side in list(sides)[:: 1 if turn % 2 else -1]:
                cpu = pools[side].submit(sides[side], paths, out).result()
                if turn:
                    spent[side].append(cpu)
    rates = {
        side: statistics.median(seconds / cpu for cpu in found) for side, found in spent.items()
    }
    ratios = {
        side: statistics.median(
            theirs / ours for theirs, ours in zip(spent["original"], spent[side], strict=True)
        )
        for side in sides
    }
    return {
        "rhythm_ratio": Figure(ratios["rhythm"], "x the original", goal=RATIO_GOAL),
        "rhythm_rate": Figure(rates["rhythm"], _UNIT, goal=RATE_GOALS["rhythm"]),
        "learned_rate": Figure(rates["learned"], _UNIT, goal=RATE_GOALS["learned"]),
        "judged_ratio": Figure(ratios["judged"], "x the original, flags of quality included"),
        "judged_rate": Figure(rates["judged"], f"{_UNIT}, flags of quality included"),
        "original_rate": Figure(rates["original"], _UNIT),
    }


def memory(folder: Path, minutes: float) -> dict[str, Figure]:
    """Compare the peak memory of a long recording with that of a tenth of it."""
    figures: dict[str, Figure] = {}
    peaks: dict[str, list[float]] = {"rhythm": [], "learned": []}
    for length in (minutes / 10, minutes):
        path = folder / "long.wav"
        write_long(path, length)
        for segmenter, found in peaks.items():
            with process() as pool:
                found.append(pool.submit(peak_of, path, segmenter).result() / 2**20)
        path.unlink()
    for segmenter, (short, long) in peaks.items():
        figures[f"{segmenter}_memory_ratio"] = Figure(
            long / short, "x", goal=MEMORY_GOAL, better="lower"
        )
        figures[f"{segmenter}_memory"] = Figure(
            long, f"MiB for {minutes:g} min of stereo at 44.1 kHz", better="lower"
        )
    return figures


def simulated(folder: Path, recordings: int, seconds: float, fs: int) -> list[Path]:
    """Write recordings of hearts at 60 to 120 beats a minute, some with a murmur."""
    import soundfile

    paths = []
    for number in range(recordings):
        path = folder / f"recording_{number:03d}.wav"
        soundfile.write(path, _heart(number, seconds, fs), fs, subtype="PCM_16")
        paths.append(path)
    return paths


def write_long(path: Path, minutes: float) -> None:
    """Write one recording of two channels at 44.1 kHz, minute by minute."""
    import numpy as np
    import soundfile

    minute = _heart(0, 60.0, MEMORY_FS)
    with soundfile.SoundFile(path, "w", MEMORY_FS, 2, "PCM_16") as sound:
        left = round(60 * minutes * MEMORY_FS)
        while left > 0:
            sound.write(np.stack([minute[:left]] * 2, axis=1))
            left -= len(minute)


def _heart(number: int, seconds: float, fs: int) -> npt.NDArray[np.float32]:
    from pahcl.simulation.heart_murmur import Murmur
    from pahcl.simulation.heart_sound import Heart, Rhythm, Scene, simulate

    murmurs = (Murmur(),) if number % 4 == 3 else ()
    heart = Heart(rhythm=Rhythm(rate=60 + 7 * number % 61), murmurs=murmurs)
    return simulate(heart, Scene(fs=fs, duration=seconds, background=0.02), (number, 0)).signal


# In those processes


def original(paths: list[Path], out: Path) -> float:
    """Prepare all recordings as the original does, and give the CPU seconds."""
    from pahcl.commands._bench_pcg_original import prepare_recording

    out.mkdir()
    begin = time.process_time()
    for path in paths:
        cycles = out / path.stem
        cycles.mkdir()
        prepare_recording(path, cycles)
    spent = time.process_time() - begin
    shutil.rmtree(out)
    return spent


def rhythm(paths: list[Path], out: Path) -> float:
    """Find the cycles of all recordings by their rhythm, and give the CPU seconds."""
    return _table(paths, out, "rhythm", judge=False)


def judged(paths: list[Path], out: Path) -> float:
    """Do the same, and measure the quality of each cycle."""
    return _table(paths, out, "rhythm", judge=True)


def learned(paths: list[Path], out: Path) -> float:
    """Find the cycles of all recordings by the network, and give the CPU seconds."""
    return _table(paths, out, "learned", judge=False)


def peak_of(path: Path, segmenter: str) -> int:
    """Segment a file, and give this process's peak memory in bytes."""
    from pahcl.signals.heart_cycles import segment

    _one_thread(segmenter)
    if not len(segment(path, segmenter=segmenter).cycles):
        raise DataError("No cycle was found in the simulated hour; its memory means nothing.")
    return peak_memory()


def _table(paths: list[Path], out: Path, name: str, judge: bool) -> float:
    """Write one table of the cycles of all recordings, as a store keeps them."""
    import numpy as np
    import pandas as pd

    from pahcl.signals.heart_cycles import BOUNDARIES, segment, segmenter_named
    from pahcl.signals.heart_cycles.quality import Quality
    from pahcl.signals.sound import SoundFile

    _one_thread(name)
    segmenter, quality = segmenter_named(name), Quality()
    begin = time.process_time()
    columns: dict[str, list[npt.NDArray[np.generic]]] = {}
    counts = []
    for path in paths:
        cycles = segment(path, segmenter=segmenter).cycles
        found = {column: getattr(cycles, column) for column in (*BOUNDARIES, "confidence")}
        if judge:
            with SoundFile(path) as sound:
                measured = quality(sound.read(0, sound.length), sound.fs, cycles)
            found |= measured.measures | measured.flags
        for column, values in found.items():
            columns.setdefault(column, []).append(values)
        counts.append(len(cycles))
    table = pd.DataFrame({column: np.concatenate(parts) for column, parts in columns.items()})
    table.insert(0, "record_id", np.repeat([path.stem for path in paths], counts))
    table.to_parquet(out)
    spent = time.process_time() - begin
    out.unlink()
    if not all(counts):
        raise DataError("A simulated recording has no cycle; the time of it means nothing.")
    return spent


def _one_thread(segmenter: str) -> None:
    if segmenter == "learned":
        import torch

        torch.set_num_threads(1)
