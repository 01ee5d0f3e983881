"""Small files of every kind that a person may bring."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pyedflib
import soundfile
import wfdb


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write_table(path: Path, rows: Sequence[Sequence[object]], separator: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)


def write_sound(
    path: Path, fs: int = 2000, seconds: float = 1.5, channels: int = 1, seed: int = 0
) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = (noise(round(fs * seconds), channels, seed=seed) * 3000).astype(np.int16)
    soundfile.write(path, counts, fs, subtype="PCM_16")
    return (counts.T / 32768).astype(np.float32)


def write_npy(path: Path, *shape: int, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = noise(*shape, seed=seed)
    np.save(path, values)
    return values


def write_hdf5(path: Path, values: np.ndarray, key: str = "ecg", **attributes: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = values
        file.attrs.update(attributes)


def write_wfdb(
    path: Path, leads: Sequence[str] = ("I", "II"), fs: int = 250, unit: str = "mV", seed: int = 0
) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = (noise(fs * 2, len(leads), seed=seed) * 400).astype(np.int64)
    wfdb.wrsamp(
        path.name,
        fs=fs,
        units=[unit] * len(leads),
        sig_name=list(leads),
        d_signal=counts,
        fmt=["16"] * len(leads),
        adc_gain=[500.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(path.parent),
    )
    return (counts.T / 500).astype(np.float32)


def write_edf(
    path: Path,
    labels: Sequence[str] = ("ECG I", "ECG II"),
    fs: Sequence[int] = (250, 250),
    units: Sequence[str] = ("uV", "uV"),
) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = [(noise(4 * rate, seed=at) * 500).astype(np.int32) for at, rate in enumerate(fs)]
    with pyedflib.EdfWriter(str(path), len(labels), file_type=pyedflib.FILETYPE_EDF) as file:
        for at, label in enumerate(labels):
            file.setSignalHeader(
                at,
                {
                    "label": label,
                    "dimension": units[at],
                    "sample_frequency": fs[at],
                    "physical_max": 3276.7,
                    "physical_min": -3276.8,
                    "digital_max": 32767,
                    "digital_min": -32768,
                    "prefilter": "",
                    "transducer": "",
                },
            )
        file.writeSamples(counts, digital=True)
    return np.stack([one * 0.1 for one in counts]) if len(set(fs)) == 1 else counts[0] * 0.1


def people(count: int) -> list[tuple[str, str, int]]:
    """Name, person and answer of records."""
    return [(f"r{number}", f"p{number // 2}", number // 2 % 2) for number in range(count)]
