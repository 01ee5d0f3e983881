"""What an evaluation epoch collects, record by record or cycle by cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed

from pahcl.errors import PahclError

SHOWN_RECORDS = 10


@dataclass(frozen=True)
class Collected:
    """Hold an epoch's outputs, each record (or heart cycle) once, in the order of the record ids.

    Args:
        record_ids: `[N]`; of cycles as often as a record has some.
        subject_ids: `[N]`.
        outputs: `[N, K]` float32, what the head put out.
        target: As in a batch, `[N]` or `[N, K]`.
    """

    record_ids: list[str]
    subject_ids: list[str]
    outputs: Tensor
    target: Tensor

    @property
    def share(self) -> Tensor:
        """Give each row's share of its record, `[N]` float32: 1 where records are rows."""
        _, codes, counts = np.unique(self.record_ids, return_inverse=True, return_counts=True)
        return torch.from_numpy((1 / counts[codes]).astype(np.float32))

    def require_finite(self, split: str) -> None:
        """Refuse outputs that are no numbers, before they become evidence.

        Raises:
            PahclError: Counts the records and names the first of them.
        """
        broken = (~self.outputs.isfinite()).any(1).tolist()
        rows = [name for name, is_bad in zip(self.record_ids, broken, strict=True) if is_bad]
        if bad := sorted(set(rows)):
            total = len(set(self.record_ids))
            shown = ", ".join(bad[:SHOWN_RECORDS]) + (", ..." if len(bad) > SHOWN_RECORDS else "")
            raise PahclError(
                f"The model's outputs are NaN or infinite for {len(bad)} of {total} records "
                f"of the {split} split ({shown}), so no evidence was written. Train again with a "
                "lower `lr` or more range (`trainer.precision`), or test another checkpoint."
            )


class Outputs:
    """Collect the outputs of an epoch on the CPU."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._record_ids: list[str] = []
        self._subject_ids: list[str] = []
        self._cycles: list[int] = []
        self._outputs: list[npt.NDArray[Any]] = []
        self._targets: list[npt.NDArray[Any]] = []

    def add(self, batch: dict[str, Any], outputs: Tensor) -> None:
        """Keep the outputs `[B, K]` of one batch."""
        self._record_ids += batch["record_id"]
        self._subject_ids += batch["subject_id"]
        records = len(batch["record_id"])
        self._cycles += batch["cycle"].tolist() if "cycle" in batch else [0] * records
        self._outputs.append(outputs.detach().float().cpu().numpy())
        self._targets.append(batch["target"].cpu().numpy())

    def gather(self) -> Collected | None:
        """Bring the outputs of all processes together and forget them.

        A distributed sampler repeats rows until every process has equally many; each record, or
        each heart cycle of one, is kept once. The order is that of the ids, so that it is the same
        for any number of processes.

        Returns:
            The epoch's outputs, None where there was no batch anywhere.
        """
        mine = (
            self._record_ids,
            self._subject_ids,
            self._outputs,
            self._targets,
            self._cycles,
        )
        parts = [mine]
        if distributed.is_available() and distributed.is_initialized():
            parts = [mine] * distributed.get_world_size()
            distributed.all_gather_object(parts, mine)
        self.clear()
        if not any(part[2] for part in parts):
            return None
        record_ids = np.array([name for part in parts for name in part[0]], dtype=object)
        subject_ids = [name for part in parts for name in part[1]]
        cycles = np.array([number for part in parts for number in part[4]], dtype=np.int64)
        _, codes = np.unique(record_ids.astype(str), return_inverse=True)
        order = np.lexsort((cycles, codes))
        sorted_rows = codes[order], cycles[order]
        again = np.logical_and(*(np.diff(one, prepend=one[:1] - 1) == 0 for one in sorted_rows))
        first = order[~again]
        return Collected(
            [str(record_ids[i]) for i in first],
            [str(subject_ids[i]) for i in first],
            torch.from_numpy(np.concatenate([x for part in parts for x in part[2]])[first]),
            torch.from_numpy(np.concatenate([x for part in parts for x in part[3]])[first]),
        )
