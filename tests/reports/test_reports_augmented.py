"""The page on augmentation: its table, its code, and the picture."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pahcl.errors import UsageError
from pahcl.reports.augmented import augmented_figure, every_transform
from pahcl.signals import augment
from pahcl.signals.augment import Augmentation, RandomCrop, Transform

PAGE = Path(__file__).parents[2] / "docs" / "augmentation.md"


def test_the_page_tells_of_every_transform_and_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: (text, p.strip()) for name, text, p in rows}
    kinds = {
        name: kind
        for name in augment.__all__
        if isinstance(kind := getattr(augment, name), type)
        and issubclass(kind, Augmentation)
        and kind not in (Augmentation, Transform)
    }
    assert told.keys() == kinds.keys()
    for name, kind in kinds.items():
        text, p = told[name]
        for field in fields(kind):
            if field.name == "p":
                assert float(p) == field.default, name
            else:
                assert f"`{field.name}`" in text, f"{name}.{field.name}"
                if isinstance(field.default, float):
                    assert f"`{field.name}` {field.default:g}" in text


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), {})
    assert (tmp_path / "augmented.png").stat().st_size > 50_000


def test_rows_show_what_is_made_of_the_record() -> None:
    signal = np.sin(np.arange(2000) * 0.3)
    crop = RandomCrop(p=1.0, keep=(0.5, 0.5))
    figure = augmented_figure(signal, 1000.0, {"a crop": crop})
    first, _, second, spectrum = figure.axes
    assert [axis.get_title(loc="left") for axis in (first, second)] == ["the record", "a crop"]
    assert np.allclose(first.lines[1].get_ydata(), signal, atol=1e-6)
    shown = np.asarray(second.lines[1].get_ydata())
    assert (shown == 0).sum() >= 1000
    assert spectrum.get_ylim() == (0, 500)
    assert len(every_transform()) == 14
    with pytest.raises(UsageError, match="one lead"):
        augmented_figure(signal[None], 1000.0, {})
