"""Projections, directions and random numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pahcl.attacks.norms import ball_norm, draw, largest, project_l1, project_l2, sparse_sign, unit


def slow_l1(row, radius, low=None, high=None):
    """Find the shift by bisection, in float64."""
    row = row.double()
    cap = torch.full_like(row, float("inf"))
    if low is not None:
        cap = torch.where(row > 0, high.double(), -low.double())

    def size(shift):
        return torch.minimum((row.abs() - shift).clamp(min=0.0), cap)

    below, above = 0.0, float(row.abs().max())
    if float(size(0.0).sum()) > radius:
        for _ in range(200):
            middle = (below + above) / 2
            below, above = (middle, above) if size(middle).sum() > radius else (below, middle)
        above = max(above, 0.0)
    else:
        above = 0.0
    return row.sign() * size(above)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.0, 0.1, 1.0, 5.0, 1e3]),
    boxed=st.booleans(),
    ties=st.booleans(),
)
def test_the_l1_projection_is_the_nearest_point(seed, radius, boxed, ties):
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(3, 2, 7, generator=generator)
    delta = (delta * 2).round() / 2 if ties else delta
    low = high = None
    if boxed:
        low = -torch.rand(3, 2, 7, generator=generator)
        high = torch.rand(3, 2, 7, generator=generator)
        low[0, 0, 0] = high[0, 0, 1] = 0.0
    radii = torch.tensor([radius, radius / 2, 0.3]).reshape(3, 1, 1)
    found = project_l1(delta, radii, low, high)
    for row in range(3):
        box = (None, None) if low is None else (low[row], high[row])
        expected = slow_l1(delta[row], float(radii[row]), *box).float()
        torch.testing.assert_close(found[row], expected, atol=2e-6, rtol=1e-5)
    assert (ball_norm(found, "l1") <= radii * (1 + 1e-6)).all()
    torch.testing.assert_close(project_l1(found, radii, low, high), found, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("rows", [1, 2])
def test_units_have_norm_one_and_zero_stays(norm, rows):
    values = torch.randn(3, 2, 9)
    values[1] = 0.0
    lengths = ball_norm(unit(values, norm, rows), norm, rows)
    assert lengths.shape == ((3, 1, 1) if rows == 1 else (3, 2, 1))
    torch.testing.assert_close(lengths[[0, 2]], torch.ones_like(lengths[[0, 2]]))
    assert torch.equal(unit(values, norm, rows)[1], values[1])


def test_l2_points_inside_stay():
    inside = torch.randn(4, 3, 5) * 1e-3
    torch.testing.assert_close(project_l2(inside, torch.ones(4, 1, 1)), inside)
    far = project_l2(inside * 1e6, torch.full((4, 1, 1), 0.5))
    torch.testing.assert_close(ball_norm(far, "l2"), torch.full((4, 1, 1), 0.5))


def test_sparse_signs_keep_the_share():
    gradient = torch.tensor([[3.0, -2.0, 1.0, 0.5], [1.0, 2.0, -3.0, -4.0]])
    found = sparse_sign(gradient, torch.tensor([0.5, 0.25]))
    expected = torch.tensor([[0.5, -0.5, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]])
    torch.testing.assert_close(found, expected)
    assert torch.equal(largest(gradient), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, -1.0]]))


def test_a_record_draws_the_same_in_any_batch():
    def seeds(*numbers):
        return [torch.Generator().manual_seed(number) for number in numbers]

    cpu = torch.device("cpu")
    whole = draw("normal", (3, 2, 4), seeds(0, 1, 2), cpu)
    assert torch.equal(whole[1:2], draw("normal", (1, 2, 4), seeds(1), cpu))
