"""What the README and the docs tell people to type exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from pahcl import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def lines_of(page: Path, word: str) -> list[str]:
    """Give the commands of a page's bash blocks whose first word is this one."""
    blocks = re.findall(r"```(?:bash|sh|console)?\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        words = line.split("#")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if words.split(" ")[0] == word:
            found.append(words)
    return found


PAHCL_LINES = sorted({(page, line) for page in PAGES for line in lines_of(page, "pahcl")})
MAKE_LINES = sorted({(page, line) for page in PAGES for line in lines_of(page, "make")})


def test_the_readme_has_commands() -> None:
    assert len(lines_of(ROOT / "README.md", "make")) >= 4
    assert len(lines_of(ROOT / "README.md", "pahcl")) >= 6


@pytest.mark.parametrize(("page", "line"), MAKE_LINES, ids=lambda value: str(value)[-60:])
def test_make_lines_have_a_target(page: Path, line: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", "-n", *shlex.split(line)[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def require_parsed(
    verb: str, words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the real parser read a training line, with the config of a run where it names one."""
    monkeypatch.chdir(place)
    Path("configs").symlink_to(ROOT / "configs")
    for word in words:
        if word.startswith("runs/") and word.endswith(".yaml"):
            Path(word).parent.mkdir(parents=True)
            Path(word).write_text((ROOT / "configs/finetune/code15_af.yaml").read_text("utf-8"))
    assert cli.main([verb, *words, "--print_config"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pretrain", "RECIPE=none"], "No recipe none; there are: adversarial"),
        (["finetune", "TASK=none"], "No task none; there are:"),
        (["pretrain", "TRAINER=none"], "No trainer none; there are: cpu"),
        (["finetune", "TRAINER=none"], "No trainer none; there are: cpu"),
        (["pretrain", "SIZE=none"], "No size none; there are: paper"),
        (["finetune", "SIZE=none"], "No size none; there are: paper"),
        (["sweep", "SWEEP=none"], "No sweep none; there are: adversarial"),
    ],
)
def test_make_refuses_unknown_names_and_lists_those_there_are(words: list[str], says: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert says in done.stdout


@pytest.mark.parametrize(
    ("there", "words", "real", "lacking"),
    [
        (["circor"], ["finetune", "TASK=circor_murmur"], True, ""),
        (["ptb-xl", "csn"], ["finetune", "TASK=csn_rhythm"], True, ""),
        (["csn"], ["finetune", "TASK=csn_rhythm", "FROM=scratch"], True, ""),
        (["code15"], ["finetune", "FROM=scratch"], True, ""),
        (["ptb-xl"], ["pretrain"], True, ""),
        (["ptb-xl", "code15"], ["finetune", "TASK=circor_murmur"], False, "circor"),
        (["csn"], ["finetune", "TASK=csn_rhythm"], False, "ptb-xl"),
        (["ptb-xl"], ["sweep"], False, "code15"),
        (["code15"], ["pretrain"], False, "ptb-xl"),
    ],
)
def test_make_takes_the_real_data_that_a_task_needs(
    there: list[str], words: list[str], real: bool, lacking: str, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").touch()
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", "-n", "-o", "setup", *words],
        cwd=ROOT,
        env=environment | {"PAHCL_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (f"PAHCL_DATA={tmp_path} PAHCL_STORES=stores" in done.stdout) == real
    assert ("pahcl simulate" in done.stdout) != real
    paper = not words[1:] or not words[1].startswith("TASK=")
    assert words[0] != "finetune" or ("protocol/cinc2024/0.1.yaml" in done.stdout) == paper
    assert real or f"since {tmp_path} holds no {lacking}." in done.stdout


@pytest.mark.parametrize(("page", "line"), PAHCL_LINES, ids=lambda value: str(value)[-60:])
def test_pahcl_lines_have_verb_options_and_configs(
    page: Path,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb, *words = shlex.split(line)[1:]
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), f"{page.name}: {word} is not there"
    if verb in cli.TRAINING_VERBS:
        require_parsed(verb, words, tmp_path, monkeypatch)
        return
    if verb.startswith("-"):
        return
    assert verb in cli.command_verbs(), f"{page.name}: no verb {verb}"
    assert cli.main([verb, "--help"]) == 0
    helped = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in helped, f"{page.name}: {verb} has no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_config_is_named_after_what_make_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for folder in ("pretrain", "finetune", "strategy", "size", "trainer", "protocol", "sweep"):
        assert f"configs/{folder}/" in makefile
