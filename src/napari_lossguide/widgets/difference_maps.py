"""Maps under the images: how far each is from the reference, or how far its samples are from each other."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from napari.layers import Image
from pydantic import BaseModel, Field
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.placement import Place, finest, place_like
from napari_lossguide.widgets.result_layers import SIMULATION
from napari_lossguide.widgets.views import held, role_of
from napari_lossguide.widgets.worker import Errand

ROLE = "difference"
DEVIATION = "standard deviation"  # role of the layers that a result of several samples brings
SAMPLES = "samples"
NO_REFERENCE = "Needs a reference: choose one at the top of the dock."
# kind -> (how the layer's name begins, colormap)
LOOKS = {"absolute": ("|Error| of", "inferno"), "signed": ("Error of", "PiYG"), "ssim": ("SSIM map of", "viridis")}


class DifferenceParams(BaseModel):
    """How differences are shown."""

    kind: Literal["absolute", "signed", "ssim", "samples"] = Field(
        "absolute",
        title="Map",
        description="|image − reference| of the magnitudes, or with its sign; the structural similarity around each "
        "pixel, 1 where both are alike; or, without a reference, the standard deviation of a result's samples.",
        json_schema_extra={
            "titles": {"absolute": "Absolute error", "signed": "Signed error", "ssim": "SSIM map", SAMPLES: "Std"}
        },
    )
    gain: float = Field(
        5.0,
        ge=1,
        le=100,
        title="Gain",
        description="How much brighter errors are shown than the images.",
        json_schema_extra={"live": True, "scale": "log"},
    )


def difference(kind: str, truth: np.ndarray, image: np.ndarray) -> np.ndarray:
    """One map, float32 (slice, ny, nx), of two magnitudes of that shape."""
    if kind == "ssim":
        from napari_lossguide.recon.metrics import ssim_map

        return ssim_map(truth, image).astype(np.float32)
    return image - truth if kind == "signed" else np.abs(image - truth)


class DifferenceMaps(QWidget):
    """Whether and how differences are shown, and their layers.

    Attributes
    ----------
    changed : signal, when the maps have to be made again. The gain only changes their contrast.
    arrived : signal, when maps that took a while are there; `maps` gives them.
    failed : signal ``(sentence)``.
    box, form : check box and form.
    """

    changed = Signal()
    arrived = Signal()
    failed = Signal(str)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._peak = 1.0
        self._asked: tuple[str, Image | None, list[Image]] = ("", None, [])
        self._job: tuple[str, Image | None, list[Image]] = self._asked  # what was computed last
        self._waits = False  # for that, from the thread
        self._made: dict[Image, Image] = {}  # image -> its map
        self._errand = Errand(self)
        self._errand.ended.connect(self._show_late)
        self.box, self.form = QCheckBox("Maps under the images"), ParamsForm(DifferenceParams)
        self.box.setChecked(True)
        self.box.setToolTip("Side by side, show under each image a map of its error, or of the spread of its samples.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.form)
        self.box.toggled.connect(lambda _: self.changed.emit())
        self.form.changed.connect(self._form_changed)
        self.allow_errors(False)

    @property
    def kind(self) -> str:
        """Which map is chosen."""
        return str(self.form.values()["kind"])

    def allow_errors(self, allowed: bool) -> None:
        """Offer the kinds that need a reference, or say why not."""
        kinds = self.form.editor("kind")
        for index in range(kinds.count()):
            if kinds.itemData(index) != SAMPLES:
                kinds.model().item(index).setEnabled(allowed)
                kinds.setItemData(index, "" if allowed else NO_REFERENCE, Qt.ItemDataRole.ToolTipRole)
        self._allowed = allowed
        self._explain()

    def show_maps(self, reference: Image | None, images: Sequence[Image]) -> list[Image]:
        """Show the maps of the images that fit the reference; drop all others.

        Returns
        -------
        list of Image
            In the order of the images; empty when switched off or without a reference. Maps that take a while are
            announced by `arrived`; until then the old ones stay.
        """
        kind = self.kind if self.box.isChecked() and images else ""
        if kind == SAMPLES:
            reference = None
        self._waits = False
        same = kind == self._asked[0] and reference is self._asked[1]
        self._asked = (kind, reference, list(images))
        if not same:
            self._made = {}
        if kind == SAMPLES:
            self._made = self._deviations(images)
        elif kind and reference is not None:
            self._peak = float(reference.contrast_limits[1])
            self._compute(kind, reference, images)
        else:
            self._made = {}
        self._drop_others()
        return self.maps()

    def maps(self) -> list[Image]:
        """The maps there are now, in the order of the images."""
        there = [self._made[image] for image in self._asked[2] if image in self._made]
        return [layer for layer in there if layer in self._viewer.layers]

    def _compute(self, kind: str, reference: Image, images: Sequence[Image]) -> None:
        fitting = [image for image in images if _shape(image) == _shape(reference)]
        job = partial(_all, kind, finest(reference), [finest(image) for image in fitting])
        self._job = (kind, reference, fitting)
        if kind == "ssim" or not all(isinstance(finest(x), np.ndarray) for x in (reference, *fitting)):
            self._waits = True
            self._errand.start(job, "Maps of the differences")
        else:
            self._show(job())

    def _show_late(self, found: list[np.ndarray] | Failure) -> None:
        if not self._waits or self._job[1] not in self._viewer.layers:
            return  # something else is wanted by now
        self._waits = False
        if isinstance(found, Failure):
            self.failed.emit(found.sentence)
            return
        self._show(found)
        self.arrived.emit()

    def _show(self, found: Sequence[np.ndarray]) -> None:
        kind, _, images = self._job
        word, colormap = LOOKS[kind]
        self._made = {}
        for image, data in zip(images, found, strict=True):
            if image not in self._viewer.layers:
                continue  # it was removed meanwhile
            layer = layers.show_image(
                self._viewer,
                data,
                name=f"{word} {image.name.removesuffix(SIMULATION)}",
                role=ROLE,
                place=Place.like(image),
                metadata={"simulated": held(image).get("simulated", False)},
                contrast_limits=self._limits(),
                colormap=colormap,
                renew=True,
            )
            place_like(layer, image)
            self._made[image] = layer
        self._drop_others()

    def _deviations(self, images: Sequence[Image]) -> dict[Image, Image]:
        """The layers of the samples' standard deviation, with one contrast for all."""
        found = {image: layer for image in images if (layer := deviation_of(self._viewer, image)) is not None}
        if found:
            high = max(float(layer.contrast_limits[1]) for layer in found.values())
            for layer in found.values():
                layer.contrast_limits = (0.0, high)
        return found

    def _drop_others(self) -> None:
        kept = list(self._made.values())
        for layer in [x for x in self._viewer.layers if role_of(x) == ROLE and x not in kept]:
            self._viewer.layers.remove(layer)

    def _form_changed(self, name: str, _: Any) -> None:
        if name == "gain":
            self._stretch()
            return
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        """The gain is of errors; without a reference there are none."""
        errors = self.kind in ("absolute", "signed")
        gain = self.form.editor("gain")
        gain.setEnabled(errors and self._allowed)
        gain.setToolTip(
            gain.accessibleDescription()
            if gain.isEnabled()
            else (NO_REFERENCE if errors else "Only maps of errors have a gain.")
        )
        kinds = self.form.editor("kind")
        usable = self._allowed or self.kind == SAMPLES
        kinds.setToolTip(kinds.accessibleDescription() if usable else f"{NO_REFERENCE} 'Std' needs none.")

    def _limits(self) -> tuple[float, float]:
        if self.kind == "ssim":
            return 0.0, 1.0
        high = self._peak / self.form.values()["gain"]
        return (-high if self.kind == "signed" else 0.0), high

    def _stretch(self) -> None:
        for layer in self._made.values():
            if role_of(layer) == ROLE:
                layer.contrast_limits = self._limits()


def deviation_of(viewer: Any, image: Image) -> Image | None:
    """The layer with the standard deviation of a result's samples, if there is one."""
    name = held(image).get("name")
    return next((x for x in viewer.layers if role_of(x) == DEVIATION and name and held(x).get("of") == name), None)


def as_magnitude(data: Any) -> np.ndarray:
    """Magnitude of an image's data, float32 (slice, ny, nx); lazy data are read."""
    array = np.asarray(data)
    # Whole numbers first: the smallest one of a signed type has no magnitude in its type.
    array = np.abs(array if array.dtype.kind in "fc" else array.astype(np.float32)).astype(np.float32)
    return array[None] if array.ndim == 2 else array


def _all(kind: str, truth: Any, images: Sequence[Any]) -> list[np.ndarray]:
    reference = as_magnitude(truth)
    return [difference(kind, reference, as_magnitude(image)) for image in images]


def _shape(layer: Image) -> tuple[int, ...]:
    shape = tuple(finest(layer).shape)
    return (1, *shape) if len(shape) == 2 else shape
