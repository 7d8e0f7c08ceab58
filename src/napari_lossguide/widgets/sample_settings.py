"""What to draw from a prior: the upper part of the Sample dock, which reads as a recipe."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_lossguide.recon.methods import METHODS
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.samples import METHOD
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.fold import Fold
from napari_lossguide.widgets.forms import ParamsForm, form_layout
from napari_lossguide.widgets.method_form import MethodForm
from napari_lossguide.widgets.prior_choice import PriorChoice
from napari_lossguide.widgets.reconstruct_settings import DEVICES
from napari_lossguide.widgets.settings import read_settings


class SampleParams(BaseModel):
    """How many images of which kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    height: int = Field(
        128, ge=16, le=1024, title="Height", description="Rows of an image in pixels.", json_schema_extra={"step": 16}
    )
    width: int = Field(
        128, ge=16, le=1024, title="Width", description="Columns of an image in pixels.", json_schema_extra={"step": 16}
    )
    samples: int = Field(4, ge=1, le=256, title="Images", description="How many images are drawn.")
    image: Literal["real", "complex"] = Field(
        "real",
        title="Kind",
        description="'real' images have no phase; 'complex' ones have a smooth phase, as raw data do. "
        "Their magnitude is shown.",
    )
    seed: int = Field(
        0, ge=0, title="Seed", description="Decides every image; image number k is the same however many are drawn."
    )
    batch: int = Field(
        8,
        ge=1,
        le=256,
        title="Batch",
        description="Images that go through the network together, at most; fewer need less memory.",
    )


class SampleSettings(QWidget):
    """Prior, kind of image, contrast and plane, parameters.

    Attributes
    ----------
    live_changed : signal ``(full name, value)`` of a live knob.
    """

    live_changed = Signal(str, float)

    def __init__(self) -> None:
        super().__init__()
        self.prior = PriorChoice()
        self.kind = ParamsForm(SampleParams, only=["height", "width", "samples", "image", "seed"])
        self.batch = ParamsForm(SampleParams, only=["batch"])
        self.device = ComboBox()
        for key, title in DEVICES.items():
            self.device.addItem(title, key)
        self.form = MethodForm(METHODS[METHOD])
        self._slot, self._folded = QVBoxLayout(), QVBoxLayout()
        self._build()
        self._place_form()

    def recipe(self) -> Recipe:
        """Everything as a recipe.

        Raises
        ------
        InvalidInput
            If there is no prior, or a value is refused.
        """
        values = {**self.kind.values(), **self.batch.values()}
        shape = values.pop("height"), values.pop("width")
        return Recipe.for_method(METHOD, settings=self.form.values(), prior=self.prior.value(), shape=shape, **values)

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe.

        Raises
        ------
        InvalidInput
            If it is not one of samples, or its prior is not here.
        """
        if recipe.method != METHOD or recipe.shape is None:
            raise InvalidInput(
                f"The recipe's method is '{recipe.method}', with no shape; samples need '{METHOD}' and one."
            )
        self.prior.select(recipe.prior)
        values = {"samples": recipe.samples, "image": recipe.image, "seed": recipe.seed}
        values["image"] = "complex" if recipe.image == "complex" else "real"
        self.kind.set_values({**values, "height": recipe.shape[0], "width": recipe.shape[1]})
        self.batch.set_values({"batch": recipe.batch})
        for form in (self.form, self.form.folded):
            if form is not None:
                form.hide()
                form.deleteLater()
        self.form = MethodForm(METHODS[METHOD], {part: getattr(recipe, part) for part in METHODS[METHOD].models})
        self._place_form()

    def set_running(self, running: bool) -> None:
        """Leave only the live knobs usable during a run."""
        for widget in (self.prior, self.kind, self._more, self.form.front):
            if widget is not None:
                widget.setEnabled(not running)

    def _place_form(self) -> None:
        self.form.live_changed.connect(self.live_changed)
        self._slot.addWidget(self.form)
        if self.form.folded is not None:
            self._folded.addWidget(self.form.folded)

    def _build(self) -> None:
        rows, folded, device = form_layout(), QWidget(), QWidget()
        self.prior.setAccessibleName("Prior")
        rows.addRow("Prior", self.prior)
        self.device.setCurrentIndex(self.device.findData(read_settings().device))
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where the network runs; checked when the run starts.")
        form_layout(device).addRow("Device", self.device)
        self._folded.setContentsMargins(0, 0, 0, 0)
        folded.setLayout(self._folded)
        self._more = Fold("More settings", folded, self.batch, device)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(rows)
        layout.addWidget(self.kind)
        layout.addLayout(self._slot)
        layout.addWidget(self._more)


def describe_samples(recipe: Recipe) -> str:
    """What the layer of samples is called."""
    known: list[Any] = [recipe.guidance[name] for name in ("plane", "contrast") if recipe.guidance[name] != "any"]
    return " ".join(["Samples of", recipe.prior.rpartition("/")[2], *known]) + f", seed {recipe.seed}"
