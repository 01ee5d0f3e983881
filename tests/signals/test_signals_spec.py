from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import pahcl.signals
from pahcl.errors import RecordError, UsageError
from pahcl.signals import Filter, Recording, SignalSpec

SPEC = SignalSpec("ecg", 400.0, 4096, ("I", "aVR"), filter=Filter(highpass=0.5, notch=60.0))


def test_round_trip_through_json() -> None:
    back = SignalSpec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert back == SPEC
    assert back.digest() == SPEC.digest()
    assert len(SPEC.digest()) == 12


def test_differences_name_each_item() -> None:
    other = replace(SPEC, fs=100.0, leads=("I",))
    assert SPEC.differences(SPEC) == []
    assert SPEC.differences(other) == ["fs: 400.0, not 100.0", "leads: ('I', 'aVR'), not ('I',)"]
    assert SPEC.digest() != other.digest()


@pytest.mark.parametrize(
    "frequencies", [{"highpass": 0.0}, {"notch": -50.0}, {"highpass": 40.0, "lowpass": 40.0}]
)
def test_impossible_filters_are_refused(frequencies: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Filter"):
        Filter(**frequencies)


def test_a_recording_of_another_shape_is_refused() -> None:
    with pytest.raises(RecordError, match=r"2 leads \(I, II\), got \(3, 5\)"):
        Recording(np.zeros((3, 5), np.float32), 500.0, ("I", "II"), "mV", "r", "s")
    with pytest.raises(RecordError, match="positive, got 0"):
        Recording(np.zeros((1, 5), np.float32), 0.0, ("I",), "mV", "r", "s")


@pytest.mark.parametrize("name", pahcl.signals.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pahcl.signals, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pahcl.signals.nothing  # noqa: B018  the access is what is tested
