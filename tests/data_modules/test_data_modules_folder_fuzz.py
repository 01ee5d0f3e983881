"""Whatever is wrong with own files and tables ends in a named rejection or in a sentence."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import noise, write_edf, write_hdf5, write_npy, write_sound, write_wfdb

from data_modules._own.find import find_out
from data_modules._own.kinds import read_file
from data_modules._own.options import Options
from data_modules._own.table import read_any_table
from data_modules.folder import FolderDataModule
from pahcl.errors import PahclError
from pahcl.store import SignalStore

QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FILES: dict[str, Callable[[Path], object]] = {
    "a.wav": functools.partial(write_sound, seconds=0.3),
    "a.flac": functools.partial(write_sound, seconds=0.3),
    "a.npy": lambda path: write_npy(path, 2, 60),
    "a.h5": lambda path: write_hdf5(path, noise(2, 60), fs=500),
    "a.edf": write_edf,
    "a.hea": lambda path: write_wfdb(path.with_suffix("")),
}


def refusal(call: Callable[[], object]) -> str | None:
    """Give the sentence of an error for people; None where there is none."""
    try:
        call()
    except PahclError as error:
        return str(error)
    return None


@functools.cache
def content(name: str, folder: Path) -> bytes:
    FILES[name](folder / name)
    return (folder / name).read_bytes()


@st.composite
def spoilt(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Change some bytes at the beginning, cut the file, or put something in."""
    places = draw(
        st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6)
    )
    header = draw(st.sampled_from([64, 300, 4000]))
    cut = draw(st.one_of(st.none(), st.floats(0, 1)))
    more = draw(st.binary(max_size=20))

    def change(data: bytes) -> bytes:
        found = bytearray(data)
        for share, new in places:
            at = int(share * min(header, len(found)))
            found[at : at + len(new)] = new
        return bytes(found[: None if cut is None else int(cut * len(found))]) + more

    return change


@pytest.mark.parametrize("name", list(FILES))
@QUICK
@given(change=spoilt())
def test_spoilt_files_are_rejected_or_read(
    name: str, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    original = content(name, tmp_path)
    path = tmp_path / name
    path.write_bytes(change(original))
    reason = refusal(lambda: read_file(path, None, None))
    if reason is not None:
        assert reason
        assert str(tmp_path) not in reason
        assert "0x" not in reason
        return
    raw = read_file(path, None, None)
    assert raw.values.ndim in (1, 2)
    assert raw.values.dtype.kind in "iuf"


@QUICK
@given(
    shape=st.lists(st.integers(0, 2**40), max_size=4),
    kind=st.sampled_from(["<f4", "<i2", "|O", "<c8", "|S3", "<f8", "|b1", "<M8[s]", "zz"]),
    order=st.sampled_from(["True", "False", "(((((", "__import__('os')"]),
)
def test_headers_of_npy_that_promise_anything(
    tmp_path: Path, shape: list[int], kind: str, order: str
) -> None:
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {tuple(shape)}, }}\n"
    stream = io.BytesIO()
    stream.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    stream.write(np.zeros(16, np.float32).tobytes())
    path = tmp_path / "a.npy"
    path.write_bytes(stream.getvalue())
    refused = refusal(lambda: read_file(path, None, None))
    assert refused != ""


CELLS = st.one_of(
    st.sampled_from(
        [
            "a.wav",
            "b.wav",
            "../a.wav",
            ".",
            "/",
            "..",
            "a.wav::9",
            "/.",
            "::1",
            "",
            "nan",
            "1",
            "0",
            "1e400",
            "train",
            "P1",
        ]
    ),
    st.text(max_size=8),
    st.integers().map(str),
    st.floats().map(str),
)
NAMES = st.one_of(st.sampled_from(["file", "patient", "label", "split", "row", "age", "sex"]),
                  st.text(max_size=6))  # fmt: skip


@QUICK
@given(
    columns=st.lists(NAMES, min_size=1, max_size=5),
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=6),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_any_table_is_used_or_refused(
    tmp_path: Path, columns: list[str], rows: list[list[str]], separator: str
) -> None:
    for name in ("a.wav", "b.wav"):
        if not (tmp_path / name).exists():
            write_sound(tmp_path / name, seconds=0.3)
    lines = [separator.join(columns), *(separator.join(row) for row in rows)]
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    (tmp_path / "t.csv").write_bytes(text)
    if (refused := refusal(lambda: find_out(tmp_path, Options()))) is not None:
        assert refused
        return
    own = find_out(tmp_path, Options())
    named = [*own.index.table["file"], *(one.file for one in own.index.rejected)]
    assert {"a.wav", "b.wav"} <= set(named)
    assert own.index.table["record_id"].is_unique
    for task in own.tasks.values():
        task.targets(own.index.table)


@QUICK
@given(data=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".parquet"]))
def test_any_bytes_are_a_table_or_none(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(data)
    refused = refusal(lambda: read_any_table(path))
    assert refused is None or str(path) in refused


@settings(QUICK, max_examples=8)
@given(changes=st.lists(spoilt(), min_size=4, max_size=4), seed=st.integers(0, 10**9))
def test_a_folder_of_spoilt_files_is_packed(
    tmp_path: Path, changes: list[Callable[[bytes], bytes]], seed: int
) -> None:
    root, out = tmp_path / f"own-{seed}", tmp_path / f"store-{seed}"
    if root.exists():
        return
    good = write_sound(root / "good.wav")
    for number, change in enumerate(changes):
        name = f"{number}.wav"
        (root / name).write_bytes(change((root / "good.wav").read_bytes()))
    FolderDataModule.prepare(root, out, progress=False, modality="pcg", channels=["PCG"])
    store = SignalStore(out)
    assert store.manifest.counts["found"] == 5
    rows = list(store.table["record_id"])
    np.testing.assert_allclose(
        store.read(rows.index("good")).signal.shape[1] / store.spec.fs,
        good.shape[1] / 2000,
        rtol=1e-3,
    )
