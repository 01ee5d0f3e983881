"""The door: quick answers, and errors that people can act on."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from pahcl import __version__, cli
from pahcl.errors import DataError


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--help"], 0, "prepare"),
        (["--version"], 0, __version__),
        ([], 2, "usage"),
        (["preapre"], 2, "Did you mean `pahcl prepare`?"),
        (["xyzzy"], 2, "is not a verb"),
        *(([verb, "--help"], 0, f"usage: pahcl {verb}") for verb in cli.command_verbs()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_door_answers_without_torch(words: list[str], status: int, says: str) -> None:
    code = (
        "import sys; from pahcl.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'lightning', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy; raise SystemExit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in cli.command_verbs():
        assert cli.main([verb, "--help"]) == 0
        assert f"usage: pahcl {verb}" in capsys.readouterr().out


def test_errors_for_people_have_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(verb: str, arguments: list[str]) -> int:
        raise DataError("There is no folder x; set data.init_args.root.")

    monkeypatch.setattr(cli, "run_verb", refuse)
    assert cli.main(["prepare"]) == 1
    assert capsys.readouterr().err == (
        "pahcl prepare: There is no folder x; set data.init_args.root.\n"
    )
    assert cli.main(["prepare", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_forbidden_disk_is_said_in_a_sentence(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(verb: str, arguments: list[str]) -> int:
        raise OSError(code, "no", "/some/where")

    monkeypatch.setattr(cli, "run_verb", refuse)
    assert cli.main(["fit"]) == 1
    said = capsys.readouterr().err
    assert "/some/where" in said
    assert "Traceback" not in said


def test_other_faults_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(verb: str, arguments: list[str]) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(cli, "run_verb", fail)
    with pytest.raises(OSError, match="broken"):
        cli.main(["fit"])
