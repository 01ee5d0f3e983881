"""Which code finds and judges cycles: work that was stopped goes on only with the same."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pahcl import signals
from pahcl.files import canonical_json, sha256_file, sha256_text

_KINDS = frozenset({".py", ".json", ".safetensors"})


def code_digest(weights: str | Path | None = None) -> str:
    """Name the code and the weights by which sounds are read, prepared, segmented and judged.

    Args:
        weights: Weights of one's own, beside those of the package.
    """
    own = [] if weights is None else [("weights", sha256_file(Path(weights)))]
    return sha256_text(canonical_json([*_of_package(), *own]))


@lru_cache(maxsize=1)
def _of_package() -> tuple[tuple[str, str], ...]:
    folder = Path(signals.__file__).parent
    return tuple(
        (path.relative_to(folder).as_posix(), sha256_file(path))
        for path in sorted(folder.rglob("*"))
        if path.suffix in _KINDS
    )
