"""The Reconstruct dock: run a recipe on k-space, watch it converge, turn its knobs, get the result as layers."""

import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent

from napari_lossguide.data.kdata import KData
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.knobs import knobs_of
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.measured import Parts, parts
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.recipe_file import read_recipe
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.history import History
from napari_lossguide.widgets.keys import BRANCH, give_key
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.recipe_row import RecipeRow, same_but_live
from napari_lossguide.widgets.recipe_source import GIVES_RECIPE
from napari_lossguide.widgets.reconstruct_settings import ReconstructSettings
from napari_lossguide.widgets.recovery import Autosave
from napari_lossguide.widgets.restart import RestartOffer
from napari_lossguide.widgets.result_layers import PREVIEW, RunPreview, show_parts, show_result, summary
from napari_lossguide.widgets.run_dock import RunDock
from napari_lossguide.widgets.run_on import start_on
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.settings import MB, read_settings
from napari_lossguide.widgets.side_by_side import SideBySide
from napari_lossguide.widgets.smooth import load_torch
from napari_lossguide.widgets.timeline import Timeline
from napari_lossguide.widgets.uncertainty_row import UncertaintyRow
from napari_lossguide.widgets.views import held
from napari_lossguide.widgets.worker import Errand, Point, Preview

FIRST_PAINT = 100  # milliseconds for the canvas to draw the new layer before a thread takes its share of the processor


def start_reconstruction(
    kdata: KData, recipe: Recipe, device: str, live: Live, tape: Tape, say: Callable[[str], None]
) -> Generator[Progress, None, Result]:
    """Start the engine; called in the worker thread, which is where torch is loaded."""
    if "torch" not in sys.modules:
        say("Loading PyTorch…")
    load_torch()
    from napari_lossguide.recon.engine import reconstruction

    say("Preparing coil maps…" if kdata.n_coils > 1 else "Preparing…")
    return reconstruction(kdata, recipe, device=device, live=live, tape=tape)


def split(result: Result, kdata: KData, name: str) -> tuple[Parts, str, KData]:
    """The parts of a result, with its name and its data; called in a thread."""
    return parts(result), name, kdata


class ReconstructDock(RunDock):
    """Dock widget; one run at a time.

    Parameters
    ----------
    napari_viewer : napari hands it over.

    Attributes
    ----------
    settings : what to run.
    uncertainty : what the samples of the last run say.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, RunPanel())
        self.setProperty(GIVES_RECIPE, True)
        self.settings, self.timeline = ReconstructSettings(self, napari_viewer), Timeline()
        self.uncertainty = UncertaintyRow(napari_viewer, self.attempt)
        self._parts = Errand(self)
        self._parts.ended.connect(self._show_parts)
        self._preview: RunPreview | None = None
        self._history: History | None = None
        self._following: History | None = None  # waits for the end of the run: a branch of it, or a fresh start
        self._restart = RestartOffer()
        self._together = SideBySide(napari_viewer)
        self._look_soon = self.after(150, self._offer_restart)
        self._turned: set[str] = set()  # live knobs, by hand, since this run began
        self._last: tuple[Recipe, Recipe] | None = None  # as it was started, as it came out
        self.autosave = Autosave(self, napari_viewer)
        self._build()

    def event(self, event: QEvent) -> bool:
        """Put napari's grid back as it was when the widget is taken out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.timeline.together.setChecked(False)
        return super().event(event)

    def start(self) -> None:
        """Run what the form says."""
        if not self.running:
            with self.attempt():
                settings = read_settings()
                tape = Tape(settings.recording_memory * MB, settings.place("recordings"))
                self._begin(History(self.settings.kdata(), self.settings.points(), self.settings.recipe(), tape))

    def branch(self, step: int) -> None:
        """Go on from a step of the last run, or of the paused one, with the live knobs as they are now."""
        with self.attempt():
            if self._history is None:
                raise InvalidInput("There is no run to branch from yet.")
            if self._live is not None:
                self._history.changes = self._live.changes
            branch = self._history.branch(step, self.settings.recipe(), self.timeline.title.text().strip())
            if not self.running:
                self._begin(branch)
            elif self._live is not None and self._live.paused:
                self._following = branch
                self.cancel()

    def restart(self) -> None:
        """Cancel the run and start another one with the settings as they are now."""
        with self.attempt():
            following = History(self.settings.kdata(), self.settings.points(), self.settings.recipe())
            if self.panel.state == "running":
                self._following = following
                self.cancel()

    def recipe(self) -> tuple[Recipe, str]:
        """What is copied and saved, and what it is called.

        It is the last run's recipe, with the knobs that were turned, as long as the form still says the same; else the
        form's.

        Raises
        ------
        InvalidInput
            If the form is not complete.
        """
        shown = self.settings.recipe()
        if self._last is None or not same_but_live(shown, self._last[0]):
            return shown, "the recipe of these settings"
        count = len(self._last[1].changes)
        turned = f", with {count} knob change{'s' * (count != 1)}" if count else ""
        return self._last[1], f"the recipe of the last run{turned}"

    def load_recipe(self, source: str) -> None:
        """Show a recipe, from JSON text or a file; its mask and its region become layers.

        Raises
        ------
        InvalidInput
            If it is not a recipe, or its mask, region or prior does not fit.
        """
        recipe = read_recipe(source)
        mask, region = self._points_of(recipe.mask), self._points_of(recipe.region)
        self.settings.set_recipe(recipe)
        self.settings.mask.layer = None
        if mask is not None:
            where = Place.of(self.settings.kdata())
            shown = layers.show_mask(self._viewer, mask, name="mask of the recipe", place=where, recipe=recipe.mask)
            self.settings.mask.layer = shown
        self.settings.beside.region.combo.layer = None
        if region is not None:
            self.settings.beside.region.show_points(region, "region of the recipe")
        self._last = None

    def _points_of(self, made: MaskRecipe | None) -> np.ndarray | None:
        return None if made is None else made.make(self.settings.kdata().image_shape)

    def _begin(self, history: History) -> None:
        kdata, recipe, points = history.kdata, history.recipe, history.points
        self._history, self._preview = history, None
        self._turned.clear()
        live, device = Live(recipe.changes), self.settings.device.currentData()
        remote = self.settings.run_on.remote()
        engine = start_reconstruction if remote is None else partial(start_on, remote)
        start = partial(engine, kdata, recipe, device, live, history.tape)
        title = f"{method(recipe.method).title} of {kdata.name}"
        self.autosave.begin(recipe, title, kdata)
        job = self._launch(start, live, title, device)
        if remote is not None:
            self.settings.run_on.follow(remote, job, self.panel)
        self._restart.hide()
        if history.at is None:
            self.timeline.together.setChecked(False)  # they were of another run
        self.timeline.begin(method(recipe.method).needs_prior, kdata.n_slices)
        self._offer_branch()
        # The window answers between the click, the zero-filled image, its layer and the first step.
        self.once(0, partial(self._prepare_preview, kdata, points))

    def _prepare_preview(self, kdata: KData, points: np.ndarray) -> None:
        self._preview = RunPreview(self._viewer, kdata, points)
        self.once(0, self._open_preview)

    def _open_preview(self) -> None:
        if self._preview is not None and self.panel.preview.isChecked():
            self._preview.open()
        if self._job is not None:
            self.once(FIRST_PAINT, self._job.start)

    def _show_points(self, points: list[Point]) -> None:
        super()._show_points(points)
        if self._live is not None:
            self._show_frames()

    def _show_preview(self, preview: Preview) -> None:
        if self._preview is not None:
            self._preview.draw(preview.image, preview.slice)

    def _show_end(self, outcome: Result | Failure, live: Live) -> None:
        if self._history is not None:
            self._history.changes = live.changes
            if isinstance(outcome, Result):
                self._history.end(self._viewer, outcome)
        self._restart.hide()
        with self.attempt():
            if isinstance(outcome, Failure):
                self._show_failure(outcome)
            elif outcome.status == "cancelled":
                self._show_cancelled(outcome)
            else:
                self._show_result(outcome)
        self._show_frames()
        self._offer_branch()
        following, self._following = self._following, None
        if following is not None:
            self._begin(following)
            return
        self._tell_end(isinstance(outcome, Result) and outcome.status == "done")

    def _show_failure(self, failure: Failure) -> None:
        super()._show_failure(failure)
        if failure.image is not None and self._preview is not None:
            self._preview.draw(failure.image, self._preview.at)

    def _show_cancelled(self, result: Result) -> None:
        done = len(result.trace)
        self.panel.where.setText("Cancelled")
        if done and self._preview is not None:
            index = int(result.trace[-1]["slice"])
            self._preview.draw(np.abs(result.image[index]).astype(np.float32), index)
            self.status.show_text(f"Cancelled after step {done}; '{PREVIEW}' shows the last estimate, not a result.")

    def _show_result(self, result: Result) -> None:
        assert self._history is not None and self._preview is not None
        history, phase = self._history, self.settings.phase.isChecked()
        kdata = history.kdata
        self._last = history.recipe, result.recipe
        top = show_result(
            self._viewer, result, kdata, phase=phase, preview=self._preview, at=history.at, title=history.title
        )
        self.autosave.keep(result, held(top)["name"], kdata)
        history.family.append(held(top)["name"])
        history.hide(self._viewer)
        if history.title:
            self.timeline.title.clear()
        if self.timeline.together.isChecked():
            self._show_together(True)
        self.uncertainty.judge(result, kdata, held(top)["name"])
        if self.settings.parts.isChecked():
            self._parts.start(partial(split, result, kdata, held(top)["name"]), "What the data say")
        self.panel.where.setText("Done")
        self.status.setToolTip("")
        self.status.show_text(summary(result), colour="warning" if result.failed else "")

    def _show_parts(self, outcome: tuple[Parts, str, KData] | Failure) -> None:
        with self.attempt():
            if isinstance(outcome, Failure):
                raise InvalidInput(outcome.sentence)
            show_parts(self._viewer, *outcome)

    def _turn(self, name: str, value: float) -> None:
        if self._live is None:
            self._last = None  # the knob is set for the next run now
        elif self._history is not None:
            self._turned.add(name)
            with self.attempt():
                if self.settings.turns(name, self._history.recipe):
                    self._live.update({name: value})

    def _offer_restart(self) -> None:
        """Say that a run does not follow what was changed, as long as it differs."""
        if self._history is None or self.panel.state != "running":
            return
        try:
            settings = self.settings
            shown = settings.recipe()
            follows = self._history.follows(settings.kdata(), settings.points(), shown)
            if follows and self._live is not None:  # also what was turned while the form was of another run
                self._live.update({name: v for name, v in knobs_of(shown).items() if name in self._turned})
        except InvalidInput:
            follows = False  # pressing the button says what is missing
        self._restart.setVisible(not follows)

    def _pause(self, paused: bool) -> None:
        super()._pause(paused)
        self._offer_branch()

    def _show_frames(self) -> None:
        if self._history is not None:
            self.timeline.show_frames(list(self._history.tape.frames))

    def _offer_branch(self) -> None:
        waits = self.running and not (self._live is not None and self._live.paused)
        self.timeline.allow_branch("Pause the run, or wait for its end, to branch from one of its steps." * waits)
        self.timeline.allow_together(len(self._images_of_the_run()) > 1)

    def _images_of_the_run(self) -> list[Image]:
        """Layers of the run and of its branches, those that are still there."""
        names = self._history.family if self._history is not None else []
        found = [layers.find_layer(self._viewer, "result", name) for name in names]
        return [layer for layer in found if layer is not None]

    def _show_together(self, shown: bool) -> None:
        with self.attempt():
            self._together.show(self._images_of_the_run()) if shown else self._together.restore()

    def _scrub(self, step: int, what: str) -> None:
        if self._history is not None:
            with self.attempt():
                self._history.show(self._viewer, step, what)

    def _follow_theme(self, event: Any = None) -> None:
        self.panel.curve.set_foreground(get_theme(self._viewer.theme).text.as_hex())

    def _build(self) -> None:
        self.body.addWidget(self.settings)
        self.recipes = RecipeRow(self, self.settings.kdata)
        self.body.addWidget(self.recipes)
        self.body.addStretch(1)
        for place, widget in enumerate((self.panel, self._restart, self.timeline, self.uncertainty), start=1):
            self.layout().insertWidget(place, widget)
        self.layout().insertWidget(0, self.autosave)
        self.listen(self._viewer.events.theme, self._follow_theme)
        self._follow_theme()
        give_key(self, self.timeline.button, BRANCH)
        self.panel.give_keys(self)
        self.timeline.scrubbed.connect(self._scrub)
        self.timeline.branch.connect(self.branch)
        self.timeline.side_by_side.connect(self._show_together)
        self._restart.accepted.connect(self.restart)
        self.settings.fixed_changed.connect(self._look_soon.start)
        self.settings.live_changed.connect(self._turn)
        for refused in (self.settings.prior.refused, self.settings.beside.region.failed):
            refused.connect(partial(self.status.show_text, colour="error"))
