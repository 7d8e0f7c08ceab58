"""One process, or the many that ``accelerate launch`` started: the same training code runs in both.

Gradients of many are averaged by torch's DistributedDataParallel; files are written by the main process alone.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from napari_lossguide.types import InvalidInput

PATIENCE = datetime.timedelta(hours=6)  # the others wait while the main process reads the data or validates


class Processes:
    """The processes that train together.

    Parameters
    ----------
    device : where this one computes, unless a launcher gave each its own.

    Attributes
    ----------
    rank, count : number of this process and of all.
    device : where this one computes.

    Raises
    ------
    InvalidInput
        If there are several, but `accelerate` is not installed.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.accelerator: Any = None
        self.rank, self.count, self.device = 0, 1, torch.device(device)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            self.accelerator = make_accelerator(device)
            self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
            self.device = self.accelerator.device

    @property
    def main(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model to compute with: its gradients are averaged over all processes."""
        return model if self.accelerator is None else self.accelerator.prepare(model)

    def backward_only(self, model: nn.Module, on: bool) -> AbstractContextManager[None]:
        """Leave gradients unaveraged while they are accumulated."""
        return self.accelerator.no_sync(model) if self.accelerator is not None and on else contextlib.nullcontext()

    def gather(self, values: Tensor) -> Tensor:
        """Values of all processes, joined along the first axis."""
        return values if self.accelerator is None else self.accelerator.gather(values)

    def agree(self, value: float) -> float:
        """The main process's number."""
        if self.accelerator is None:
            return value
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor([value], dtype=torch.float64, device=self.device))[0])

    def wait(self) -> None:
        """Until all are here."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Part from the others when all are done; a process that exits while its threads still talk to them aborts."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()
            self.accelerator.end_training()


def make_accelerator(device: str) -> Any:
    """Join the other processes."""
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs
    except ImportError as error:
        raise InvalidInput(
            f"Training in {os.environ['WORLD_SIZE']} processes needs accelerate: pip install 'napari-lossguide[train]'."
        ) from error
    group = InitProcessGroupKwargs(timeout=PATIENCE)
    return Accelerator(cpu=device == "cpu", mixed_precision="no", kwargs_handlers=[group])
