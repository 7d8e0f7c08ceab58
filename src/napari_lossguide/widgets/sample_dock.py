"""The Sample dock: draw images from a prior without data, watch them form, get them as a stack of layers."""

import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.recipe_file import read_recipe
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.recipe_row import RecipeRow, same_but_live
from napari_lossguide.widgets.recovery import Autosave
from napari_lossguide.widgets.run_dock import RunDock
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.sample_settings import SampleSettings, describe_samples
from napari_lossguide.widgets.smooth import load_torch
from napari_lossguide.widgets.views import held
from napari_lossguide.widgets.worker import Preview

if TYPE_CHECKING:
    from napari_lossguide.recon.result import Progress
    from napari_lossguide.recon.samples import Samples


def start_sampling(
    recipe: Recipe, device: str, live: Live, say: Callable[[str], None]
) -> "Generator[Progress, None, Samples]":
    """Start the engine; called in the worker thread, which is where torch is loaded."""
    if "torch" not in sys.modules:
        say("Loading PyTorch…")
    load_torch()
    from napari_lossguide.recon.sampling import sampling

    say("Reading the prior…")
    return sampling(recipe, device=device, live=live)


class SampleDock(RunDock):
    """Dock widget; one run at a time. It needs no layers.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    settings : what to draw.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, RunPanel(plotted=False))
        self.settings = SampleSettings()
        self._running: Recipe | None = None
        self._last: tuple[Recipe, Recipe] | None = None  # as it was started, as it came out
        self.autosave = Autosave(self, napari_viewer)
        self._build()

    def start(self) -> None:
        """Draw what the form says."""
        if not self.running:
            with self.attempt():
                self._begin(self.settings.recipe())

    def recipe(self) -> tuple[Recipe, str]:
        """What is copied and saved, and what it is called: the last run's as long as the form says the same.

        Raises
        ------
        InvalidInput
            If the form is not complete.
        """
        shown = self.settings.recipe()
        if self._last is None or not same_but_live(shown, self._last[0]):
            return shown, "the recipe of these settings"
        return self._last[1], "the recipe of the last run"

    def load_recipe(self, source: str) -> None:
        """Show a recipe, from JSON text or a file.

        Raises
        ------
        InvalidInput
            If it is not a recipe of samples, or its prior is not here.
        """
        self.settings.set_recipe(read_recipe(source))
        self._last = None

    def _begin(self, recipe: Recipe) -> None:
        self._running, live, device = recipe, Live(recipe.changes), self.settings.device.currentData()
        title = describe_samples(recipe)
        self.autosave.begin(recipe, title)
        job = self._launch(partial(start_sampling, recipe, device, live), live, title, device)
        self.settings.set_running(True)
        job.start()

    def _show_preview(self, preview: Preview) -> None:
        if self._running is not None:
            layers.update_samples(self._viewer, preview.image, first=preview.slice, count=self._running.samples)

    def _show_end(self, outcome: "Samples | Failure", live: Live) -> None:
        self.settings.set_running(False)
        with self.attempt():
            if isinstance(outcome, Failure):
                self._show_failure(outcome)
            elif outcome.status == "cancelled":
                self.panel.where.setText("Cancelled")
                begun = len(outcome.images)
                self.status.show_text(f"Cancelled; {begun} of {outcome.recipe.samples} images were begun.")
            else:
                self._show_samples(outcome)
        self._tell_end(not isinstance(outcome, Failure) and outcome.status == "done")

    def _show_samples(self, samples: "Samples") -> None:
        assert self._running is not None
        self._last = self._running, samples.recipe
        layer = layers.add_samples(self._viewer, samples, describe_samples(samples.recipe))
        self.autosave.keep(samples, held(layer)["name"])
        self._viewer.layers.selection.active = layer
        self.panel.where.setText("Done")
        self.status.setToolTip("")
        n = len(samples.images)
        self.status.show_text(
            f"{n} image{'s' * (n != 1)} in {samples.seconds:.1f} s; drawn from the prior, not measured."
        )

    def _turn(self, name: str, value: float) -> None:
        if self._live is None:
            self._last = None  # the knob is set for the next run now
        else:
            with self.attempt():
                self._live.update({name: value})

    def _build(self) -> None:
        self.body.addWidget(self.settings)
        self.body.addWidget(RecipeRow(self, command="lossguide sample"))
        self.body.addStretch(1)
        self.layout().insertWidget(1, self.panel)
        self.layout().insertWidget(0, self.autosave)
        self.panel.button.setToolTip("Draw the images; during a run: stop it.")
        self.panel.give_keys(self)
        self.settings.live_changed.connect(self._turn)
        self.settings.prior.refused.connect(partial(self.status.show_text, colour="error"))
