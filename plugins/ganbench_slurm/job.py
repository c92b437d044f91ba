"""What a Slurm job does: one unit of work, on the node that Slurm chose for it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

from ganbench.api import Parcel, UserError

_asked: list[int] = []  # signals that ask this process to stop


@dataclass(frozen=True)
class Job:
    """A unit that submitit unpacks in a job and calls. What a time limit cuts off goes on when Slurm runs it again."""

    parcel: Parcel
    device: str
    threads: int

    def __call__(self) -> int | str:
        """The unit's exit code, or in a sentence why the node is not fit for it."""
        # Not submitit's, which does nothing: Slurm sends it some seconds before it kills what is cancelled.
        signal.signal(signal.SIGTERM, lambda number, frame: _asked.append(number))
        # The mark of the first attempt was used up by it.
        again = int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
        parcel = self.parcel.anew() if again else self.parcel
        try:
            return parcel.run(device=self.device, threads=self.threads, stop=lambda: bool(_asked))
        except UserError as error:
            return str(error)

    def checkpoint(self) -> Any:
        """Called by submitit some time before Slurm's limit: end with a checkpoint, and be what is run again."""
        from submitit.helpers import DelayedSubmission

        Parcel.dismiss()
        return DelayedSubmission(self)
