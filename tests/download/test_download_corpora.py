"""What is fetched of each data set is what its data module reads."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from publisher import Local, Publisher, record, serving, sums, tree, zipped

from data_modules._pascal_names import FOLDERS
from pahcl.cli import main
from pahcl.commands import download as verb
from pahcl.commands._common import datasets, find_data_module
from pahcl.download import PhysioNet, Site, Zenodo

RECORDS = {"pascal": 32}
"""Good records of a corpus that needs more than 8 to have all its classes."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Publisher]:
    monkeypatch.chdir(tmp_path)
    with serving() as found:
        monkeypatch.setattr(verb, "make_client", lambda: Local(found.port))
        yield found


def publish(publisher: Publisher, name: str, files: dict[str, bytes]) -> None:
    """Offer a corpus as its publisher does."""
    source = find_data_module(name).source
    if isinstance(source, PhysioNet):
        at = f"physionet.org/files/{source.slug}/{source.version}/"
        files = {source.below + path: content for path, content in files.items()}
        # What the publisher has besides, in another form or of another data set.
        files |= {"training.zip": b"PK", "other/1.hea": b"1"} if source.below else {}
        files |= {"training.zip": b"PK"} if source.leave_out else {}
        publisher.files |= {at + path: content for path, content in files.items()}
        publisher.files[f"{at}SHA256SUMS.txt"] = sums(files)
    elif isinstance(source, Zenodo):
        offered = parts(name, files)
        at = f"zenodo.org/records/{source.record}/files/"
        publisher.files |= {at + path: content for path, content in offered.items()}
        publisher.files[f"zenodo.org/api/records/{source.record}"] = record(source.record, offered)
    else:
        assert isinstance(source, Site)
        for path, content in archives(files).items():
            publisher.files[source.origin.removeprefix("http://") + path] = content


def parts(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Archives as they are at Zenodo: each part of CODE-15% by itself, all of CODE-test at once."""
    if name == "code_test":
        inside = {f"data/{path.removeprefix('data/')}": files[path] for path in files}
        return {"data.zip": zipped(inside)}
    return {
        f"{Path(path).stem}.zip" if path.endswith(".hdf5") else path: (
            zipped({path: content}) if path.endswith(".hdf5") else content
        )
        for path, content in files.items()
    }


def archives(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """PASCAL's sounds in the archives of their classes; the first one has no folder within."""
    source = find_data_module("pascal").source
    assert isinstance(source, Site)
    found = {}
    for number, (archive, _) in enumerate(source.files):
        folder = archive.removesuffix(".zip")
        noisy = folder.replace("Btraining_", "Btraining_noisy")
        top = f"{folder}/" if number else ""
        places = {folder: top} | ({noisy: f"{top}{noisy}/"} if noisy in FOLDERS else {})
        found[archive] = zipped(
            {
                place + Path(path).name.removeprefix(FOLDERS[name][1]): content
                for name, place in places.items()
                for path, content in files.items()
                if path.startswith("set_{}/{}".format(*FOLDERS[name]))
            }
        )
    return found


@pytest.mark.parametrize("name", [name for name in datasets() if find_data_module(name).source])
def test_a_corpus_comes_as_its_data_module_reads_it(name: str, publisher: Publisher) -> None:
    cls = find_data_module(name)
    records = RECORDS.get(name, 8)
    importlib.import_module(f"pahcl.simulation.{name}").write(Path("made"), records, seed=7)
    Path("made/simulation.json").unlink()
    publish(publisher, name, tree(Path("made")))
    assert main(["download", name, "--out", "out", "--workers", "8"]) == 0
    made, came = (cls.index(Path(root), min(cls.rates)).table for root in ("made", "out"))
    assert len(came) >= records
    assert set(made["record_id"]) <= set(came["record_id"])
    # PASCAL's archives have no tables, so a sound that no row names is one of them.
    assert len(came) == len(made) or name == "pascal"
    row = {str(column): value for column, value in came.iloc[0].items()}
    assert cls.read(Path("out"), row).signal.size
