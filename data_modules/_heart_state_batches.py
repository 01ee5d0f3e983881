"""Batches of heart sounds with the state of every frame, of recordings and of simulated hearts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from data_modules._dataset import Batch, BatchDataset, Window, uniform
from pahcl.signals import convert
from pahcl.signals.heart_cycles.state_network import CLASSES, FRAME_RATE
from pahcl.signals.recording import Recording
from pahcl.signals.spec import SignalSpec
from pahcl.signals.states import HeartStates
from pahcl.simulation.heart_cases import Extra, draw_heart, draw_murmur_words, draw_scene
from pahcl.simulation.heart_murmur import SITES, Murmur, Phase
from pahcl.simulation.heart_sound import Heart, Scene, simulate
from pahcl.store import SignalStore

Integers = npt.NDArray[np.int64]
States = npt.NDArray[np.int8]

UNKNOWN, NOTHING = -1, CLASSES.index("nothing")
SIMULATED_SECONDS = 12.0
SIMULATED_FS = 2000.0
SLOWEST, FASTEST = 30.0, 220.0
"""Beats a minute of simulated hearts; their logarithm is drawn evenly."""

_EXTRA: tuple[Extra | None, ...] = (None, None, None, "third", "fourth", "click")
_SILENT = 0.2  # share of the simulated scenes in which no heart beats
_LARGEST = 32767


@dataclass(frozen=True, eq=False)
class Simulated:
    """Hold simulated recordings of one length.

    Args:
        samples: `[S, L]` int16.
        scale: `[S]` float32, unit per step.
        states: `[S, L]` int8, class of each sample.
    """

    samples: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    states: States

    def __len__(self) -> int:
        return len(self.samples)


def simulated_hearts(count: int, spec: SignalSpec, seed: int) -> Simulated:
    """Simulate hearts with and without murmurs, at 30 to 220 beats a minute, and bare noise.

    Args:
        count: How many recordings.
        spec: Input contract that they are brought to.
        seed: The same number gives the same samples.
    """
    length = round(SIMULATED_SECONDS * spec.fs)
    spec = replace(spec, length=length)
    samples = np.zeros((count, length), np.int16)
    scale = np.ones(count, np.float32)
    states = np.full((count, length), NOTHING, np.int8)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        heart, scene = _draw(rng)
        sound = simulate(heart, scene, (seed, number))
        recording = Recording(sound.signal[None], sound.fs, ("PCG",), spec.unit, "simulated", "-")
        signal, _ = convert(recording, spec)
        scale[number] = max(float(np.abs(signal).max()), 1e-9) / _LARGEST
        samples[number] = np.round(signal[0] / scale[number])
        if scene.heart > 0:
            states[number] = classes_of(sound.states, spec.fs, length)
    return Simulated(samples, scale, states)


def _draw(rng: np.random.Generator) -> tuple[Heart, Scene]:
    murmurs: tuple[Murmur, ...] = ()
    if rng.random() < 0.5:
        phase: Phase = "systolic" if rng.random() < 0.6 else "diastolic"
        murmurs = (draw_murmur_words(rng, phase, (1,) * 5),)
    extra = _EXTRA[int(rng.integers(len(_EXTRA)))]
    rate = float(np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST))))
    age, early = float(rng.uniform(0, 60)), bool(rng.random() < 0.1)
    heart = draw_heart(rng, age, murmurs=murmurs, extra=extra, extrasystoles=early)
    heart = replace(heart, rhythm=replace(heart.rhythm, rate=rate))
    site, noise = SITES[int(rng.integers(len(SITES)))], float(rng.choice([0.3, 1, 1, 2]))
    if murmurs and rng.random() < 0.5:
        site = murmurs[0].origin
    scene = draw_scene(
        rng, SIMULATED_FS, SIMULATED_SECONDS, site=site, noise=noise, band=(15.0, 900.0)
    )
    if rng.random() < _SILENT:
        scene = replace(
            scene,
            heart=0.0,
            speech=float(rng.choice([0, 0.1, 0.3])),
            friction=float(rng.choice([0, 0.1, 0.3])),
            thumps=float(rng.choice([0, 0, 1.0])),
            events_a_minute=float(rng.uniform(5, 60)),
        )
    return heart, scene


def classes_of(states: HeartStates, fs: float, length: int) -> States:
    """Give the class of every sample, `UNKNOWN` where nobody has marked a state."""
    return (states.sampled(fs, length) - 1).astype(np.int8)


class StateDataset(BatchDataset):
    """Serve windows of recordings and of simulated hearts, with the class of every frame.

    Args:
        store: Where the signals are.
        rows: `[N]` rows of the store that are served, in order.
        states: Class of every sample of each of them.
        window: Which part is shown.
        windows: Windows of each recording in an epoch.
        simulated: What comes beside the recordings, once an epoch.
    """

    def __init__(
        self,
        store: SignalStore,
        rows: Integers,
        states: Sequence[States],
        window: Window,
        windows: int = 1,
        simulated: Simulated | None = None,
    ) -> None:
        targets = np.zeros(len(rows), np.int64)  # the real ones depend on the window
        super().__init__(store, rows, targets, window)
        lengths = [len(one) for one in states]
        self.first = np.cumsum([0, *lengths[:-1]])
        self.states = np.concatenate(states)
        self.real, self.simulated = windows * len(rows), simulated

    def __len__(self) -> int:
        return self.real + (0 if self.simulated is None else len(self.simulated))

    def _serve(self, indices: Integers, size: int) -> Iterator[Batch]:
        for first in range(0, len(indices), size):
            yield self._batch(indices[first : first + size])

    def _batch(self, indices: Integers) -> Batch:
        epochs, positions = np.divmod(indices, len(self))
        chance = uniform(self.window.seed, epochs, positions)
        made = positions >= self.real
        record = positions[~made] % max(len(self.rows), 1)
        spare = self.spare[record]
        begin = self.begin[record]
        if self.window.crop == "random":
            drawn = (chance[~made] * (spare + 1)).astype(np.int64)
            begin = np.where(spare > 0, drawn, begin)
        found = self.store.windows(self.rows[record], self.window.length, self.window.pad, begin)
        target = self._classes(self.states, self.first[record] + begin, found.start, found.stop)
        batch = {
            "samples": found.samples(slice(None)),
            "scale": found.scale,
            "start": found.start,
            "stop": found.stop,
            "target": target,
        }
        if self.simulated is not None and made.any():
            other = self._simulated(self.simulated, positions[made] - self.real, chance[made])
            batch = {key: np.concatenate([value, other[key]]) for key, value in batch.items()}
        names = [f"simulated-{number}" for number in (positions[made] - self.real).tolist()]
        return {
            **{key: torch.from_numpy(np.ascontiguousarray(x)) for key, x in batch.items()},
            "record_id": [*self.record_ids[record].tolist(), *names],
            "subject_id": [*self.subject_ids[record].tolist(), *names],
        }

    def _simulated(
        self, made: Simulated, which: Integers, chance: npt.NDArray[np.float64]
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Cut windows from simulated recordings; one that is too short is repeated."""
        length, whole = self.window.length, made.samples.shape[1]
        begin = (chance * max(whole - length + 1, 1)).astype(np.int64)
        columns = (begin[:, None] + np.arange(length)) % whole
        full = np.full(len(which), length, np.int64)
        start = begin + which * whole
        return {
            "samples": made.samples[which[:, None], columns][:, None],
            "scale": made.scale[which][:, None],
            "start": np.zeros_like(full),
            "stop": full,
            "target": self._classes(made.states.reshape(-1), start, 0 * full, full),
        }

    def _classes(
        self, states: States, begin: Integers, start: Integers, stop: Integers
    ) -> Integers:
        """Read the class in the middle of each frame, `[B, T]`; `UNKNOWN` in padding."""
        hop = round(self.store.spec.fs / FRAME_RATE)
        middle = np.arange(self.window.length // hop) * hop + hop // 2
        real = (middle >= start[:, None]) & (middle < stop[:, None])
        places = np.where(real, begin[:, None] + middle, 0)
        return np.where(real, states[places], UNKNOWN).astype(np.int64)
