"""Official scorers: the published rules of challenges and benchmarks, one file each.

Files that begin with `_` hold their parts; every other one but `base.py` is a scorer, which
`pahcl score` finds by listing. What each needs and what its traps are: docs/scorers.md.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil

from pahcl.errors import UsageError
from pahcl.evaluation.official.base import Scorer


def scorer_names() -> list[str]:
    """List the scorers by the names of their files."""
    names = {info.name for info in pkgutil.iter_modules(__path__)} - {"base"}
    return sorted(name for name in names if not name.startswith("_"))


def find_scorer(name: str) -> type[Scorer]:
    """Find a scorer by the name of its file.

    Raises:
        UsageError: There is none.
    """
    if name not in scorer_names():
        begun = [one for one in scorer_names() if name and one.startswith(name)]
        near = begun or difflib.get_close_matches(name, scorer_names(), n=1)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(
            f"There is no scorer `{name}`.{hint} There are: {', '.join(scorer_names())}."
        )
    module = importlib.import_module(f"{__name__}.{name}")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and issubclass(found, Scorer):
            return found
    raise UsageError(f"{module.__file__} defines no scorer.")
