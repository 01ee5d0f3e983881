"""The door: `pahcl <verb>`.

Training verbs go to LightningCLI (`pahcl.commands._training`), every other verb is a file in
`pahcl/commands/`. Nothing heavy is imported before the verb is known, so that help, version and a
mistyped verb answer at once.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import errno
import importlib
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pahcl import __version__
from pahcl.errors import PahclError, UsageError

TRAINING_VERBS = {
    "fit": "train a model, or go on with a run that was interrupted",
    "validate": "measure a checkpoint on the validation split",
    "test": "measure a run's best checkpoint on the test split, once, and write the evidence",
    "predict": "write a checkpoint's predictions",
}

FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def command_verbs() -> dict[str, str]:
    """List the verbs of `pahcl/commands/` with the first line of each file's docstring."""
    verbs = {}
    for path in sorted((Path(__file__).parent / "commands").glob("[a-z]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = doc.splitlines()[0].rstrip(".") if doc else ""
        verbs[path.stem] = first[:1].lower() + first[1:]
    return verbs


def usage() -> str:
    """Write the help page of the door."""
    verbs = {**TRAINING_VERBS, **command_verbs()}
    width = max(map(len, verbs))
    listed = "\n".join(f"  {verb:<{width}}  {says}" for verb, says in verbs.items())
    return (
        "usage: pahcl [--version] [--debug] VERB ...\n\n"
        "Pretrain encoders on cardiac signals, transfer them, and show what they are worth.\n\n"
        f"verbs:\n{listed}\n\n"
        "`pahcl VERB --help` says more. `--debug` shows the traceback of an error.\n"
    )


def run_verb(verb: str, arguments: list[str]) -> int:
    """Run one verb.

    Args:
        verb: A training verb or a file of `pahcl/commands/`.
        arguments: What follows the verb.

    Returns:
        Exit status: 0 done, 1 done with findings or failed, 2 asked wrongly.

    Raises:
        UsageError: There is no such verb.
    """
    if verb in TRAINING_VERBS:
        training = importlib.import_module("pahcl.commands._training")
        return int(training.run(verb, arguments))
    commands = command_verbs()
    if verb not in commands:
        near = difflib.get_close_matches(verb, [*TRAINING_VERBS, *commands], n=1)
        hint = f" Did you mean `pahcl {near[0]}`?" if near else ""
        raise UsageError(f"`{verb}` is not a verb of pahcl.{hint} `pahcl --help` lists them all.")
    command = importlib.import_module(f"pahcl.commands.{verb}")
    parser = argparse.ArgumentParser(prog=f"pahcl {verb}", description=command.__doc__)
    command.configure(parser)
    # argparse by itself gives nobody the words after `--` where options stand before it.
    hands_on = getattr(command, "HANDS_WORDS_ON", False)
    read = parser.parse_intermixed_args if hands_on else parser.parse_args
    return int(command.run(read(arguments)))


def speak() -> None:
    """Send what our own loggers say to stderr; libraries keep their own ways."""
    for name in ("pahcl", "data_modules"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [logging.StreamHandler(sys.stderr)]


def main(args: Sequence[str] | None = None) -> int:
    """Answer one command line; errors that people can act on end in a few lines.

    Args:
        args: The words after `pahcl`; None reads them from the process.
    """
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    speak()
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] in {"-V", "--version"}:
        sys.stdout.write(f"pahcl {__version__}\n")
        return 0
    try:
        return run_verb(words[0], words[1:])
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a wrong option
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What is done is kept; the same command goes on from it.\n")
        return 130
    except (PahclError, OSError) as error:
        if debug:
            traceback.print_exc()
        sys.stderr.write(f"pahcl {words[0]}: {says(error)}\n")
        return error.exit_status if isinstance(error, PahclError) else 1


def says(error: PahclError | OSError) -> str:
    """Give the text for people of an error that they can act on; raise every other one again."""
    if isinstance(error, PahclError):
        return str(error)
    if error.errno not in FULL_OR_FORBIDDEN:
        raise error
    where = f" at {error.filename}" if error.filename else ""
    return (
        f"The system refuses to write{where}: {error.strerror}. Free space or choose a folder "
        "that you may write to, then run the same command again; what is done is kept."
    )
