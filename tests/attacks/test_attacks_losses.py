"""Losses by record, what they leave out and what they refuse."""

import pytest
import torch
from torch.nn import functional as F

from pahcl.attacks.losses import Criterion
from pahcl.errors import UsageError

NAN = float("nan")
LOGITS = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, 0.3, -0.4], [1.0, 1.0, -3.0, 2.0]])
LABELS = torch.tensor([[1.0, 0.0, NAN, 1.0], [NAN] * 4, [0.0, 1.0, 1.0, 0.0]])
CLASSES = torch.tensor([0, -1, 2])


def test_labels_count_only_where_they_are():
    terms = F.binary_cross_entropy_with_logits(LOGITS, LABELS.nan_to_num(), reduction="none")
    terms = terms * ~LABELS.isnan()
    sums = Criterion("bce_sum", LABELS)(LOGITS)
    torch.testing.assert_close(sums, terms.sum(1))
    means = Criterion(None, LABELS)(LOGITS)
    torch.testing.assert_close(means, terms.sum(1) / torch.tensor([3.0, 1.0, 4.0]))
    assert Criterion("bce", LABELS).labelled.tolist() == [True, False, True]
    torch.testing.assert_close(Criterion("bce", LABELS, targeted=True)(LOGITS), -means)


def test_margins():
    signs = torch.tensor([[-1.0, 1, 0, -1], [0, 0, 0, 0], [1, -1, -1, 1]])
    torch.testing.assert_close(Criterion("margin", LABELS)(LOGITS), (signs * LOGITS).sum(1))
    found = Criterion("margin", CLASSES)(LOGITS)
    torch.testing.assert_close(found, torch.tensor([0.5 - 2.0, 0.0, 2.0 + 3.0]))


def test_class_numbers():
    expected = F.cross_entropy(LOGITS, CLASSES, ignore_index=-1, reduction="none")
    torch.testing.assert_close(Criterion(None, CLASSES)(LOGITS), expected)
    found = Criterion("dlr", CLASSES)(LOGITS)
    # -(z_y - max of the others) / (z_1 - z_3), by hand
    torch.testing.assert_close(found, torch.tensor([-1.5 / 2.0, 0.0, 5.0 / 1.0]))
    found = Criterion("dlr", CLASSES, targeted=True)(LOGITS)
    # (z_t - max of the others) / (z_1 - (z_3 + z_4) / 2)
    torch.testing.assert_close(found, torch.tensor([1.5 / 2.5, 0.0, -5.0 / 3.0]))


def test_dlr_does_not_depend_on_scale_and_shift():
    criterion = Criterion("dlr", CLASSES)
    torch.testing.assert_close(criterion(LOGITS), criterion(5 * LOGITS + 3))


def test_estimates():
    expected = (LOGITS - LABELS).square().nansum(1) / torch.tensor([3.0, 1.0, 4.0])
    torch.testing.assert_close(Criterion("mse", LABELS)(LOGITS), expected)
    with pytest.raises(UsageError, match="never simply wrong"):
        Criterion("mse", LABELS).fooled(LOGITS)


def test_some_outputs_alone():
    chosen = Criterion("bce_sum", LABELS, labels=(1, 2))
    only = LABELS.clone()
    only[:, [0, 3]] = NAN
    torch.testing.assert_close(chosen(LOGITS), Criterion("bce_sum", only)(LOGITS))
    with pytest.raises(UsageError, match="names output 4, the target has 4"):
        Criterion("bce", LABELS, labels=(4,))
    with pytest.raises(UsageError, match="class numbers have no such"):
        Criterion("ce", CLASSES, labels=(0,))


def test_who_is_fooled():
    assert Criterion("ce", CLASSES).fooled(LOGITS).tolist() == [False, False, True]
    assert Criterion("ce", CLASSES, targeted=True).fooled(LOGITS).tolist() == [True, False, False]
    # logit 0 decides no, so the last label of the first record is wrong
    assert Criterion("bce", LABELS).fooled(LOGITS).tolist() == [True, False, True]
    fine = torch.tensor([[1.0, 0.0, NAN, NAN]])
    assert Criterion("bce", fine).fooled(LOGITS[:1]).tolist() == [False]
    assert Criterion("bce", fine, targeted=True).fooled(LOGITS[:1]).tolist() == [True]


@pytest.mark.parametrize(
    ("loss", "target", "targeted", "outputs", "words"),
    [
        ("dlr", LABELS, False, 4, "not defined for binary or multilabel"),
        ("dlr", CLASSES, False, 2, "3 classes or more, the model has 2"),
        ("dlr", CLASSES, True, 3, "4 classes or more, the model has 3"),
        ("ce", LABELS, False, 4, "does not go with this target"),
        ("bce", CLASSES, False, 4, "does not go with this target"),
        ("mse", CLASSES, False, 4, "does not go with this target"),
        ("ce", CLASSES.unsqueeze(1), False, 4, r"must have the shape \[B\]"),
        ("ce", CLASSES, False, 1, "two outputs"),
        ("bce", LABELS, False, 3, "4 entries a record, the model 3"),
    ],
)
def test_what_does_not_go_together_is_refused(loss, target, targeted, outputs, words):
    with pytest.raises(UsageError, match=words):
        Criterion(loss, target, targeted)(LOGITS[:, :outputs])
