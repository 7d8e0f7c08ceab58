"""What a run leaves on the canvas, by the functions of `layers`: preview, result and its companions, their names."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image

from napari_lossguide.data.display import display_limits, view
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.measured import Parts
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import Restored
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.uncertainty import spread_note
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.views import SAYS_LITTLE, held, zero_filled

PREVIEW = "Live preview"
SIMULATION = " (SIMULATION)"  # ends the name of every layer whose k-space was never measured
BRIGHTER = 1.2  # bright tissue after the reconstruction over the same in the zero-filled image, roughly


class RunPreview:
    """The layer in which a run is seen while it goes, and which becomes its result.

    It is never removed: with each layer that goes napari collects garbage, which takes up to a second.

    Parameters
    ----------
    viewer : napari's viewer.
    kdata : what is being reconstructed.
    mask : bool (ny, nx), the points that are used.
    """

    def __init__(self, viewer: Any, kdata: KData, mask: np.ndarray) -> None:
        self._viewer, self._kdata = viewer, kdata
        self._name, self._at, self._place = labelled(PREVIEW, kdata), 0, Place.of(kdata)
        self._limits = run_limits(kdata, mask)
        self._first = zero_filled(kdata, mask, 0)
        layer = layers.find_layer(viewer, "preview", self._name)
        if layer is not None:  # of a run that was cancelled or failed, perhaps of other data
            layer.contrast_limits = self._limits

    def open(self) -> None:
        """Add the layer, with the zero-filled image; added later it would be felt during the run."""
        self.draw(self._first, 0)
        if self._kdata.n_slices > 1:
            self._viewer.dims.set_point(
                self._viewer.dims.ndim - 3, self._place.of_slice(0)
            )  # runs begin with the first slice

    @property
    def at(self) -> int:
        """The slice that was drawn last."""
        return self._at

    def draw(self, image: np.ndarray, index: int) -> None:
        """Show the estimate of a slice, float32 (ny, nx), and go on to it unless the person looks at another one."""
        layer = layers.update_preview(
            self._viewer,
            image,
            name=self._name,
            slice_index=index,
            n_slices=self._kdata.n_slices,
            place=self._place,
            contrast_limits=self._limits,
            metadata={"simulated": self._kdata.simulated},
        )
        dims = self._viewer.dims
        axis = dims.ndim - layer.ndim
        if index != self._at and self._place.slice_at(dims.point[axis]) == self._at:
            dims.set_point(axis, self._place.of_slice(index))
        self._at = index

    def become(self, name: str, image: np.ndarray) -> None:
        """Make the layer, if there is one, the result of that name.

        Its contrast changes to the image's own, unless a person has set it or the true image did.
        """
        layer = layers.find_layer(self._viewer, "preview", self._name)
        if layer is None:
            return
        held(layer).update(role="result", name=name)
        layer.name, layer.visible = name, True
        if self._kdata.reference is None and np.allclose(layer.contrast_limits, self._limits):
            layer.contrast_limits = display_limits(image, "magnitude")


def run_limits(kdata: KData, mask: np.ndarray) -> tuple[float, float]:
    """Contrast limits that stay the same during a run: of the true image if known, else of the zero-filled one."""
    if kdata.reference is not None:
        known = kdata.reference[kdata.n_slices // 2] if kdata.lazy else np.asarray(kdata.reference)
        return display_limits(known, "magnitude")
    low, high = display_limits(zero_filled(kdata, mask, kdata.n_slices // 2), "magnitude")
    return low, high * (1 if mask.all() and kdata.fully_sampled else BRIGHTER)


def show_result(
    viewer: Any,
    result: Result,
    kdata: KData,
    *,
    phase: bool = False,
    preview: RunPreview | None = None,
    at: int | None = None,
    title: str = "",
    label: str = "",
) -> Image:
    """Add the layers of a result; earlier results stay.

    Parameters
    ----------
    viewer : napari's viewer.
    result : finished.
    kdata : its input.
    phase : add the phase too.
    preview : of the run; its layer becomes the result's.
    at, title : the step that the run branched from, and what a person calls the branch.
    label : what the layer is called, instead of all that.

    Returns
    -------
    Image
        The magnitude. Phase and standard deviation are hidden at first.
    """
    own = labelled(label, kdata) if label else result_name(result.recipe, kdata, at, title)
    name = _unused_name(viewer, own)
    facts: dict[str, Any] = {"source": kdata.name} | ({"failed": dict(result.failed)} if result.failed else {})
    _show_companions(viewer, result, name, Place.of(kdata), phase)
    if preview is not None:
        preview.become(name, result.image)
    top = layers.add_result(viewer, result, name, place=Place.of(kdata), metadata=facts)
    viewer.layers.selection.active = top
    return top


def show_restored(viewer: Any, restored: Restored) -> Image:
    """Add the layers of a result that was autosaved by an earlier program."""
    result, place = restored.result, Place(restored.spacing, restored.position, restored.affine)
    role = "result" if isinstance(result, Result) else "samples"
    name = _unused_name(viewer, restored.name, role)
    if not isinstance(result, Result):
        return layers.show_samples(viewer, result, name)
    _show_companions(viewer, result, name, place, phase=False)
    facts = {"failed": dict(result.failed)} if result.failed else {}
    return layers.add_result(viewer, result, name, place=place, metadata=facts)


def _show_companions(viewer: Any, result: Result, name: str, place: Place, phase: bool) -> None:
    hidden: list[tuple[str, np.ndarray, str, str]] = []
    note = spread_note(result.recipe)
    if result.std is not None:
        hidden.append(("Standard deviation", result.std, "magnitude", "magma"))
    if phase:
        hidden.append(("Phase", view(result.image, "phase"), "phase", "twilight_shifted"))
    for word, image, kind, colormap in hidden:
        layers.show_image(
            viewer,
            image,
            name=f"{word}{SAYS_LITTLE if note and image is result.std else ''} of {name}",
            role=word.lower(),
            place=place,
            metadata={**run_facts(result), "of": name, "note": note},
            contrast_limits=display_limits(image, kind),
            colormap=colormap,
        ).visible = False


def show_parts(viewer: Any, split: Parts, of: str, kdata: KData) -> None:
    """Add what the data say of a result and what was filled in, hidden at first; the name says how much that is."""
    share = 100 * float(split.share.mean())
    limits = display_limits(split.measured, "magnitude")
    high = max(float(np.percentile(np.abs(split.filled), 99.5)), 1e-12)
    for word, image, role, between, colormap in (
        ("What the data say", split.measured, "measured part", limits, "gray"),
        (f"Filled in ({share:.2g} % of the energy)", split.filled, "filled-in part", (-high, high), "PiYG"),
    ):
        layers.show_image(
            viewer,
            image,
            name=f"{word} of {of}",
            role=role,
            place=Place.of(kdata),
            metadata={**run_facts(split.result), "of": of},
            contrast_limits=between,
            colormap=colormap,
        ).visible = False


def show_reference(viewer: Any, kdata: KData) -> Image | None:
    """Show the true image of a simulation, or the root sum of squares of a full scan; None when neither is known."""
    image = kdata.true_images()
    if image is None:
        return None
    word = "Full scan" if kdata.reference is None else "True image"
    name = labelled(word, kdata)
    other = layers.find_layer(viewer, "reference", name)
    if other is not None and held(other).get("source") != kdata.name:
        name = labelled(f"{word} of {kdata.name}", kdata)
    return layers.show_image(
        viewer,
        image,
        name=name,
        role="reference",
        place=Place.of(kdata),
        metadata={"simulated": kdata.simulated, "source": kdata.name, "complex": kdata.reference},
    )


def result_name(recipe: Recipe, kdata: KData, at: int | None = None, branch: str = "") -> str:
    """What the layer of a result is called: method and seed, and the step that it branched from or its own name."""
    chosen = method(recipe.method)
    title = chosen.title.removesuffix(" (default)")
    if chosen.needs_prior:
        title += f", seed {recipe.seed}"
    if chosen.needs_prior and recipe.samples > 1:
        title += f", mean of {recipe.samples}"
    if at is not None:
        title = f"{branch} (from step {at}), {title}" if branch else f"{title}, branch at {at}"
    return labelled(title, kdata)


def labelled(text: str, kdata: KData) -> str:
    """Say so when the k-space was never measured."""
    return text + SIMULATION if kdata.simulated else text


def summary(result: Result) -> str:
    """One sentence about a finished run."""
    took = f"Done in {result.seconds:.1f} s"
    evaluations = f", {result.nfe} network evaluations" if result.nfe else ""
    residual = f"; data residual {result.residual:.2f} (1 is the noise level)" if math.isfinite(result.residual) else ""
    return f"{took}{evaluations}{residual}.{failures(result.failed)}"


def failures(failed: Mapping[int, str]) -> str:
    """Which slices, from 1, have no image and why, as text that may follow another sentence; empty if none failed."""
    if not failed:
        return ""
    head = f" {len(failed)} slice{'s' * (len(failed) != 1)} failed and stayed empty."
    return head + "".join(f"\nSlice {index + 1}: {why}" for index, why in sorted(failed.items()))


def _unused_name(viewer: Any, name: str, role: str = "result") -> str:
    """The name, numbered when another result has it."""
    number, candidate = 1, name
    while layers.find_layer(viewer, role, candidate) is not None:
        number += 1
        candidate = f"{name} ({number})"
    return candidate
