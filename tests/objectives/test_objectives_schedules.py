from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pahcl.errors import UsageError
from pahcl.objectives.schedules import Constant, Cosine, Exponential, Linear, progress

# Eriksson et al., CinC 2024: ten adversarial epochs up to 0.05, as their script prints them.
PUBLISHED = [0.001, 0.00154, 0.00239, 0.00368, 0.00569, 0.00879, 0.0136, 0.0210, 0.0324, 0.05]
SCHEDULES = [Constant(), Linear(start=0.001), Exponential(start=0.001), Cosine(start=0.001)]


def test_the_exponential_schedule_is_the_published_one():
    found = [Exponential(start=1e-3)(0.05, progress(epoch, 10)) for epoch in range(10)]
    assert found == pytest.approx(PUBLISHED, rel=3e-3)
    ratios = [later / sooner for sooner, later in pairwise(found)]
    assert ratios == pytest.approx([50 ** (1 / 9)] * 9, rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(steps=st.integers(2, 50), end=st.floats(0.002, 1.0))
def test_schedules_grow_from_start_to_end(schedule, steps, end):
    values = [schedule(end, progress(step, steps)) for step in range(steps)]
    assert values[-1] == pytest.approx(end, rel=1e-9)
    assert values == sorted(values) or max(values) - min(values) < 1e-12
    if not isinstance(schedule, Constant):
        assert values[0] == pytest.approx(0.001, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_only_epoch_has_the_end_value(schedule):
    assert schedule(0.05, progress(0, 1)) == pytest.approx(0.05)


def test_exponential_schedules_stay_above_zero():
    with pytest.raises(UsageError, match="above 0"):
        Exponential(start=0.0)
    with pytest.raises(UsageError, match="above 0"):
        Exponential()(0.0, 1.0)
