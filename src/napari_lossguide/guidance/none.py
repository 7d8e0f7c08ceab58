"""No guidance: samples of the prior alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Problem


class NoParams(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoGuidance:
    """Leaves the state and the estimate alone."""

    Params = NoParams
    corrects = "nothing"

    def __init__(self, problem: Problem, sigma_data: float) -> None:
        self.problem = problem

    def correct_state(self, x: Tensor, sigma: float, params: NoParams) -> Tensor:
        """The state as it is."""
        return x

    def correct_estimate(self, d: Tensor, sigma: float, params: NoParams) -> Tensor:
        """The estimate as it is."""
        return d
