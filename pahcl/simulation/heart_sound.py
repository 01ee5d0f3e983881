"""Synthetic heart sounds: a heart and how it is listened to in, a recording and its truth out.

First and second sounds are short damped oscillations of the four valves (20 to 150 Hz). Sizes are
relative to the first sound at the apex; `Scene.gain` turns that into the converter's full scale.

    heart = Heart(rhythm=Rhythm(rate=95), murmurs=(Murmur(timing="holo", grade=3, origin="TV"),))
    sound = simulate(heart, Scene(fs=4000, duration=12, site="TV"), seed=(7, 1))

`heart_rhythm` says when the heart beats, `heart_murmur` what flows, `heart_noise` what else is
heard; `heart_cases` draws hearts and scenes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from pahcl.errors import UsageError
from pahcl.signals.states import S1, S2, HeartStates
from pahcl.simulation import heart_noise
from pahcl.simulation.heart_murmur import AUDIBLE, SITES, Murmur, Site, draw_murmur
from pahcl.simulation.heart_noise import Sound, Spans
from pahcl.simulation.heart_rhythm import (
    FIRST_DECAY,
    SECOND_DECAY,
    TRICUSPID_DELAY,
    Beats,
    Rhythm,
    draw_beats,
)

# Sizes of the mitral, tricuspid, aortic and pulmonary valve and of low filling sounds at a site.
_LOUDNESS = {
    "AV": (0.5, 0.3, 0.85, 0.4, 0.15),
    "PV": (0.45, 0.35, 0.75, 0.65, 0.2),
    "TV": (0.7, 0.6, 0.5, 0.3, 0.5),
    "MV": (0.9, 0.45, 0.45, 0.15, 0.9),
    "Phc": (0.6, 0.4, 0.55, 0.25, 0.4),
}
# The note of the blood at each of them in Hz, and the snap of its leaflets relative to that.
_PITCH = (48.0, 62.0, 72.0, 58.0)
_SNAP = (1.8, 0.35)
_LOWEST, _HIGHEST = 20.0, 150.0
_WINDOW = 0.34
_MARGIN = 0.6


@dataclass(frozen=True)
class Heart:
    """Describe what stays the same in all recordings of a person.

    Args:
        rhythm: When it beats.
        murmurs: None, one or several.
        pitch: Factor on the frequencies of all valves; a small heart sounds higher.
        second: Factor on the second sound.
        third: Size of a third sound, some 0.15 s after the second; 0 is none.
        fourth: Size of a fourth sound, before the first; 0 is none.
        click: Size of a click in systole; 0 is none.
        click_at: Place of the click within systole, 0 to 1: early of ejection, late of a prolapse.
    """

    rhythm: Rhythm = field(default_factory=Rhythm)
    murmurs: tuple[Murmur, ...] = ()
    pitch: float = 1.0
    second: float = 1.0
    third: float = 0.0
    fourth: float = 0.0
    click: float = 0.0
    click_at: float = 0.1


@dataclass(frozen=True)
class Scene:
    """Describe how a heart is listened to. Sizes are relative to the first sound at the apex.

    Args:
        fs: Sampling rate in Hz, 1000 at least.
        duration: Length in seconds.
        site: Where.
        gain: Share of full scale that is 1; what is beyond full scale is clipped.
        heart: Size of the heart itself; 0 leaves noise alone.
        band: Pass band of the device in Hz.
        background: Root mean square of the steady noise.
        breathing: Root mean square of breath sounds at their loudest.
        friction: Root mean square of rustling.
        speech: Root mean square of voices.
        thumps: Height of knocks on the sensor.
        events_a_minute: How often each of rustling, voices and knocks comes, if it has a size.
        dropouts_a_minute: How often the signal is lost, and 0.
    """

    fs: float = 4000.0
    duration: float = 10.0
    site: Site = "MV"
    gain: float = 0.25
    heart: float = 1.0
    band: tuple[float, float] = (15.0, 1200.0)
    background: float = 0.006
    breathing: float = 0.01
    friction: float = 0.0
    speech: float = 0.0
    thumps: float = 0.0
    events_a_minute: float = 6.0
    dropouts_a_minute: float = 0.0

    def __post_init__(self) -> None:
        if self.fs < 1000 or self.duration < 0.5:
            raise UsageError(
                f"A heart sound needs 1000 Hz and 0.5 s at least, got fs={self.fs:g} Hz and "
                f"duration={self.duration:g} s."
            )


@dataclass(frozen=True, eq=False)
class HeartSound:
    """Hold a simulated recording, and what is true of it.

    Args:
        signal: `[L]` float32 in full scale, within -1 and 1.
        clean: `[L]` float32, the heart alone as the device hears it, in the same scale.
        fs: Sampling rate in Hz.
        states: True states of the whole recording.
        beats: The beats that begin within it; R waves of an ECG come some 0.04 s before `first`.
        heart: Who is listened to, without what is not there to be heard.
        scene: How.
        murmurs: When each murmur of the heart sounds.
        extras: Begins of third and fourth sounds and of clicks, those that the heart has.
        disturbances: When each kind of disturbance is heard.
    """

    signal: Sound
    clean: Sound
    fs: float
    states: HeartStates
    beats: Beats
    heart: Heart
    scene: Scene
    murmurs: tuple[Spans, ...] = ()
    extras: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    disturbances: Mapping[str, Spans] = field(default_factory=dict)

    def truth(self) -> dict[str, Any]:
        """Write down as plain types what a simulator keeps: times in seconds, to 0.1 ms.

        Begin and end of every first and second sound, those that the recording cuts included; the
        begins of premature beats, of third and fourth sounds and clicks; of each murmur its words,
        its size at the site, whether that is audible, and when it sounds; when disturbances are
        heard.
        """
        states = self.states

        def rounded(spans: Iterable[Sequence[float]]) -> list[list[float]]:
            return [[round(begin, 4), round(end, 4)] for begin, end in spans]

        def intervals(state: int) -> list[list[float]]:
            here = states.state == state
            return rounded(np.stack([states.start[here], states.end[here]], axis=1).tolist())

        return {
            "first_sounds": intervals(S1),
            "second_sounds": intervals(S2),
            "premature": np.round(self.beats.first[self.beats.kind > 0], 4).tolist(),
            "extra_sounds": {name: np.round(at, 4).tolist() for name, at in self.extras.items()},
            "murmurs": [
                {
                    **asdict(murmur),
                    "size": round(murmur.size_at(self.scene.site), 4),
                    "audible": murmur.is_heard(self.scene.site),
                    "spans": rounded(spans),
                }
                for murmur, spans in zip(self.heart.murmurs, self.murmurs, strict=True)
            ],
            "disturbances": {name: rounded(spans) for name, spans in self.disturbances.items()},
        }


def simulate(heart: Heart, scene: Scene, seed: tuple[int, ...]) -> HeartSound:
    """Simulate one recording.

    Args:
        heart: Who is listened to.
        scene: How.
        seed: Names the recording; the same numbers give the same samples, whatever else is drawn.
    """
    timing, sounding, disturbing = (np.random.default_rng([*seed, part]) for part in range(3))
    if scene.heart == 0:
        heart = replace(heart, murmurs=(), third=0.0, fourth=0.0, click=0.0)
    beats = draw_beats(timing, heart.rhythm, scene.duration, _MARGIN)
    samples = round((scene.duration + 2 * _MARGIN) * scene.fs)
    clean = _valves(sounding, heart, scene, beats, samples)
    spans = []
    for murmur in heart.murmurs:
        phase = beats.first_end, beats.second
        if murmur.phase == "diastolic":
            phase = beats.second_end[:-1], beats.first[1:]
        placed = phase[0] + _MARGIN, phase[1] + _MARGIN
        sound, heard = draw_murmur(sounding, murmur, scene.site, scene.fs, placed, samples)
        clean += sound
        spans.append([(begin - _MARGIN, end - _MARGIN) for begin, end in heard])
    clean *= np.float32(scene.heart)
    noise, disturbances = _disturb(disturbing, scene, beats, samples)
    inside = slice(round(_MARGIN * scene.fs), round(_MARGIN * scene.fs) + _length(scene))
    clean, noise = (
        _device(sound, scene)[inside] * np.float32(scene.gain) for sound in (clean, noise)
    )
    signal = np.clip(clean + noise, -1, 1)
    lost = heart_noise.dropouts(disturbing, scene.duration, scene.dropouts_a_minute)
    for begin, end in lost:
        signal[round(begin * scene.fs) : round(end * scene.fs)] = 0
    if lost:
        disturbances["dropouts"] = lost
    extras = _extra_times(heart, beats)
    if scene.heart == 0:
        beats = beats.within(0)
    return HeartSound(
        signal=signal,
        clean=clean,
        fs=scene.fs,
        states=beats.states(scene.duration),
        beats=beats.within(scene.duration),
        heart=heart,
        scene=scene,
        murmurs=tuple(_cut(heard, scene.duration) for heard in spans),
        extras={
            name: at[(at >= 0) & (at < scene.duration)]
            for name, at in extras.items()
            if getattr(heart, name) > 0
        },
        disturbances=disturbances,
    )


def _length(scene: Scene) -> int:
    return round(scene.duration * scene.fs)


def _valves(
    rng: np.random.Generator, heart: Heart, scene: Scene, beats: Beats, samples: int
) -> Sound:
    """Draw first and second sounds, third and fourth ones and clicks."""
    mitral, tricuspid, aortic, pulmonary, low = _LOUDNESS[scene.site]
    pace, early = beats.pace, beats.kind > 0
    # A heart that has had little time to fill closes its inlets hard and ejects little.
    first_size = np.where(early, 1.15, 1.0) * np.exp(rng.normal(0, 0.08, len(pace)))
    second_size = heart.second * np.where(early, 0.5, 1.0) * np.exp(rng.normal(0, 0.08, len(pace)))
    first = FIRST_DECAY * pace, first_size
    second = SECOND_DECAY * pace, second_size
    events = [
        (beats.first, mitral, _PITCH[0], *first),
        (beats.first + TRICUSPID_DELAY * pace, tricuspid, _PITCH[1], *first),
        (beats.second, aortic, _PITCH[2], *second),
        (beats.second + beats.split, pulmonary, _PITCH[3], *second),
    ]
    snaps = [
        (when, size * _SNAP[1], pitch * _SNAP[0], decay * 0.6, strength)
        for when, size, pitch, decay, strength in events
    ]
    slow, usual = 0.028 * pace, np.where(early, 0.4, 1.0)
    at = _extra_times(heart, beats)
    extra = [
        (at["third"], low * heart.third, 32.0, slow, usual),
        (at["fourth"], low * heart.fourth, 28.0, slow, usual),
        (at["click"], heart.click, 135.0, 0.2 * slow, usual),
    ]
    sound = np.zeros(samples, dtype=np.float32)
    for when, size, pitch, decay, strength in [*events, *snaps, *extra]:
        if size > 0:
            height = np.clip(pitch * heart.pitch * rng.uniform(0.94, 1.06), _LOWEST, _HIGHEST)
            _strike(sound, scene.fs, when, size * strength, float(height), decay)
    return sound


def _extra_times(heart: Heart, beats: Beats) -> dict[str, npt.NDArray[np.float64]]:
    """Say when third and fourth sounds and clicks would begin, beat by beat."""
    rest = np.diff(beats.second, append=beats.second[-1] + 0.8) - (beats.second - beats.first)
    systole = beats.second - beats.first_end
    return {
        "third": beats.second + np.minimum(0.15, 0.4 * rest),
        "fourth": beats.first - np.minimum(0.11, 0.3 * rest),
        "click": beats.first_end + heart.click_at * systole,
    }


def _strike(
    sound: Sound,
    fs: float,
    when: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    pitch: float,
    decay: npt.NDArray[np.float64],
) -> None:
    """Add a damped oscillation at each of the times; it begins there and not before."""
    width = round(_WINDOW * fs)
    start = np.ceil((when + _MARGIN) * fs).astype(np.int64)
    time = (start / fs - _MARGIN - when)[:, None] + np.arange(width) / fs
    along = (time / decay[:, None]).astype(np.float32)
    # Rises within a third of its time constant; 0.58 is the height of that envelope.
    envelope = (1 - np.exp(-5 * along)) * np.exp(-along) / np.float32(0.58)
    wave = np.sin((2 * np.pi * pitch * time).astype(np.float32))
    wave *= envelope * size[:, None].astype(np.float32)
    for place, row in zip(start.tolist(), wave, strict=True):
        begin, end = max(place, 0), min(place + width, len(sound))
        if begin < end:
            sound[begin:end] += row[begin - place : end - place]


def _disturb(
    rng: np.random.Generator, scene: Scene, beats: Beats, samples: int
) -> tuple[Sound, dict[str, Spans]]:
    """Draw everything beside the heart, and say when it is heard."""
    fs, rate = scene.fs, scene.events_a_minute
    noise = scene.background * heart_noise.background(rng, samples, fs)
    if scene.breathing > 0:
        frequency, phase = beats.breath
        shifted = phase - 2 * np.pi * frequency * _MARGIN
        noise += scene.breathing * heart_noise.breathing(rng, samples, fs, (frequency, shifted))
    found: dict[str, Spans] = {}
    for name, size, draw in (
        ("friction", scene.friction, heart_noise.friction),
        ("speech", scene.speech, heart_noise.speech),
        ("thumps", scene.thumps, heart_noise.thumps),
    ):
        if size > 0:
            length = _length(scene)
            sound, spans = draw(rng, length, fs, rate)
            start = round(_MARGIN * fs)
            noise[start : start + length] += np.float32(size) * sound
            found[name] = spans
    return np.asarray(noise, dtype=np.float32), found


def _device(sound: Sound, scene: Scene) -> Sound:
    """Filter as the device does, without a delay."""
    size = fft.next_fast_len(len(sound), real=True)
    frequency = np.maximum(fft.rfftfreq(size, 1 / scene.fs), 1e-3)
    low, high = scene.band
    gain = 1 / np.sqrt((1 + (low / frequency) ** 4) * (1 + (frequency / high) ** 8))
    filtered = fft.irfft(fft.rfft(sound, size) * gain.astype(np.float32), size)
    return np.asarray(filtered[: len(sound)], dtype=np.float32)


def _cut(spans: Spans, duration: float) -> Spans:
    return [(max(a, 0.0), min(b, duration)) for a, b in spans if b > 0 and a < duration]


__all__ = [
    "AUDIBLE",
    "SITES",
    "Beats",
    "Heart",
    "HeartSound",
    "HeartStates",
    "Murmur",
    "Rhythm",
    "Scene",
    "Site",
    "simulate",
]
