"""Whatever goes wrong during a run, as one sentence for people."""

import logging
import re
import sys
import traceback
from dataclasses import dataclass

import numpy as np

from napari_lossguide.types import Cancelled, Diverged, InvalidInput

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why there is no result.

    Attributes
    ----------
    sentence : for people, as it is shown in the dock.
    detail : the traceback, for the tool tip and the log; empty for errors that the sentence says in full.
    cancelled : the person asked for it.
    image : last finite estimate, float32 (ny, nx), where the sampler had one.
    """

    sentence: str
    detail: str = ""
    cancelled: bool = False
    image: np.ndarray | None = None


def failure(error: BaseException, what: str = "The reconstruction") -> Failure:
    """Turn whatever was raised during a run, or another task, into one sentence; `what` says which.

    Nothing of the error is kept: its traceback holds tensors, which must go before the GPU's cache can be freed.
    """
    if isinstance(error, Cancelled):
        return Failure("Cancelled.", cancelled=True)
    if isinstance(error, InvalidInput):
        return Failure(str(error))
    if isinstance(error, Diverged):
        return Failure(str(error), image=error.image)
    detail = "".join(traceback.format_exception(error))
    LOG.error("%s failed.\n%s", what, detail)
    return Failure(_sentence(error, what), detail)


def _sentence(error: BaseException, what: str) -> str:
    text = " ".join(str(error).split())
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in text:  # by name: torch stays unimported here
        size = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
        need = f"{size[1]} more were asked for" if size else "the run does not fit"
        return f"Out of memory on the GPU: {need}; try fewer samples, a smaller image or the CPU."
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        return "Out of memory: the run does not fit; try fewer samples or a smaller image."
    if isinstance(error, ImportError):
        return f"A library that this run needs cannot be loaded: {text}."
    return f"{what} failed with {type(error).__name__}: {text[:300] or 'no message'}"


def free_gpu_cache() -> None:
    """Give unused memory back to the GPU, if torch is loaded and there is one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
