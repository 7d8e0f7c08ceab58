"""What the Reconstruct dock keeps of its last run: the recording, how it looks, and the recipe of a branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.knobs import knobs_of
from napari_lossguide.recon.live import Change
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.tape import Tape, branched
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.recipe_row import same_but_live
from napari_lossguide.widgets.result_layers import labelled, run_limits
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.views import held

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Result

LAYER = "Timeline"


@dataclass
class History:
    """A run that is recorded.

    Attributes
    ----------
    kdata, points : what is reconstructed, and the points that are used, bool (ny, nx).
    recipe : as it was started.
    tape : its recording.
    changes : of knobs, as far as they took effect.
    at : the step that it branches from; None of a run of its own.
    title : what a person calls the branch.
    family : names of the layers of this run, and of those that it branches from or that branch from it.
    facts : what the layers of the run keep of it, as soon as it has ended.
    shown : the timeline's layer shows a step of it.
    """

    kdata: KData
    points: np.ndarray
    recipe: Recipe
    tape: Tape = field(default_factory=Tape)
    changes: tuple[Change, ...] = ()
    at: int | None = None
    title: str = ""
    family: list[str] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: bool = False

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Contrast of the estimates; without a true image it takes a transform, too slow for each move of a slider."""
        return run_limits(self.kdata, self.points)

    def show(self, viewer: Any, step: int, what: str) -> Image:
        """Show a step (from 1) in the timeline's layer; the noisy state has its own contrast."""
        image = self.tape.image(step, state=what == "state")
        low, high = self.limits
        layer = layers.find_layer(viewer, "timeline", labelled(LAYER, self.kdata))
        renew = layer is not None and held(layer).get("what") != what
        limits = (low, high) if what == "estimate" else (0.0, max(high, float(np.percentile(image, 99.5))))
        shown = layers.show_image(
            viewer,
            image,
            name=labelled(LAYER, self.kdata),
            role="timeline",
            place=Place.of(self.kdata),
            metadata={
                "recipe": self.so_far().to_json(),
                **self.facts,
                "simulated": self.kdata.simulated,
                "step": step,
                "what": what,
            },
            contrast_limits=limits,
            renew=renew,
        )
        shown.visible = self.shown = True
        return shown

    def end(self, viewer: Any, result: Result) -> None:
        """The run has ended: the timeline's layer, if it shows the run, leads to it from now on."""
        self.facts = run_facts(result)
        layer = layers.find_layer(viewer, "timeline", labelled(LAYER, self.kdata))
        if layer is not None and self.shown:
            held(layer).update(self.facts)

    def hide(self, viewer: Any) -> None:
        """Take the timeline's layer off the canvas: a result is there to be seen."""
        layer = layers.find_layer(viewer, "timeline", labelled(LAYER, self.kdata))
        if layer is not None:
            layer.visible = False

    def so_far(self) -> Recipe:
        """The recipe with the changes of knobs that took effect, and with slices together if they went so."""
        slices = "together" if self.tape.slices > 1 else self.recipe.slices
        return self.recipe.model_copy(update={"changes": self.changes, "slices": slices})

    def follows(self, kdata: KData, points: np.ndarray, shown: Recipe) -> bool:
        """Whether these settings differ from those of the run in live knobs at most."""
        same = kdata is self.kdata and np.array_equal(points, self.points)
        return same and same_but_live(
            *(r.model_copy(update={"mask": None, "slices": "auto"}) for r in (shown, self.recipe))
        )

    def branch(self, step: int, shown: Recipe, title: str = "") -> History:
        """A run that goes on after a step with the live knobs of a form.

        Raises
        ------
        InvalidInput
            If the form differs in more than live knobs, which a run cannot change on its way.
        """
        # Its slices go as those of the run did, whatever the form says of them.
        if not same_but_live(shown.model_copy(update={"slices": self.recipe.slices}), self.recipe):
            raise InvalidInput(
                "A branch can differ from its run in live knobs alone; the settings differ in more. Set them back, or "
                "press Run to start anew."
            )
        recipe = branched(self.so_far(), step, knobs_of(shown))
        return History(
            self.kdata, self.points, recipe, self.tape.branch(step), at=step, title=title, family=self.family
        )
