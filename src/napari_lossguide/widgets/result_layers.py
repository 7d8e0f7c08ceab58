"""What a run leaves on the canvas, by the functions of `layers`: preview, result and its companions, their names."""

import math
from typing import Any

import numpy as np
from napari.layers import Image

from napari_lossguide.data.display import display_limits, view
from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.methods import METHODS
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.views import held, result_of

PREVIEW = "Live preview"
SIMULATION = " (SIMULATION)"  # ends the name of every layer whose k-space was never measured
BRIGHTER = 1.4  # bright tissue after the reconstruction over the same in the zero-filled image, roughly


class RunPreview:
    """The one layer in which the runs of a dock are seen while they go.

    Parameters
    ----------
    viewer : napari's viewer.
    kdata : what is being reconstructed.
    """

    def __init__(self, viewer: Any, kdata: KData) -> None:
        self._viewer, self._kdata = viewer, kdata
        self._name, self._at = labelled(PREVIEW, kdata), 0
        self._limits = run_limits(kdata)
        self.remove()  # it may show other data

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
            spacing=self._kdata.spacing,
            contrast_limits=self._limits,
            metadata={"simulated": self._kdata.simulated},
        )
        dims = self._viewer.dims
        axis = dims.ndim - layer.ndim
        if index != self._at and round(dims.point[axis] / layer.scale[0]) == self._at:
            dims.set_point(axis, index * layer.scale[0])
        self._at = index

    def remove(self) -> None:
        """Take the layer away."""
        layers.remove_layer(self._viewer, "preview", self._name)


def run_limits(kdata: KData) -> tuple[float, float]:
    """Contrast limits that stay the same during a run: of the true image if known, else of the zero-filled one."""
    if kdata.reference is not None:
        return display_limits(kdata.reference, "magnitude")
    low, high = display_limits(rss(ifft2c(kdata.kspace[kdata.n_slices // 2])), "magnitude")
    return low, high * (1 if kdata.fully_sampled else BRIGHTER)


def show_result(viewer: Any, result: Result, kdata: KData, *, phase: bool) -> Image:
    """Add the layers of a result; earlier results stay, unless they came from the very same recipe.

    Parameters
    ----------
    viewer : napari's viewer.
    result : finished.
    kdata : its input.
    phase : add the phase too.

    Returns
    -------
    Image
        The magnitude. Phase and standard deviation are hidden at first.
    """
    name = _unused_name(viewer, result_name(result.recipe, kdata), result)
    facts = {"residual": result.residual, "seconds": result.seconds, "nfe": result.nfe, "source": kdata.name}
    hidden: list[tuple[str, np.ndarray, str, str]] = []
    if result.std is not None:
        hidden.append(("Standard deviation", result.std, "magnitude", "magma"))
    if phase:
        hidden.append(("Phase", view(result.image, "phase"), "phase", "twilight_shifted"))
    for word, image, kind, colormap in hidden:
        layers.show_image(
            viewer,
            image,
            name=f"{word} of {name}",
            role=word.lower(),
            scale=kdata.spacing,
            metadata={"simulated": result.simulated, "recipe": result.recipe.to_json()},
            contrast_limits=display_limits(image, kind),
            colormap=colormap,
        ).visible = False
    top = layers.add_result(viewer, result, name, spacing=kdata.spacing, metadata=facts)
    viewer.layers.selection.active = top
    return top


def show_reference(viewer: Any, kdata: KData) -> Image | None:
    """Show the true image of a simulation, or the root sum of squares of a full scan; None when neither is known."""
    if kdata.reference is not None:
        word, image = "True image", np.abs(kdata.reference)
    elif kdata.fully_sampled:
        word, image = "Full scan", rss(ifft2c(kdata.kspace))
    else:
        return None
    name = labelled(word, kdata)
    other = layers.find_layer(viewer, "reference", name)
    if other is not None and held(other).get("source") != kdata.name:
        name = labelled(f"{word} of {kdata.name}", kdata)
    return layers.show_image(
        viewer,
        image.astype(np.float32),
        name=name,
        role="reference",
        scale=kdata.spacing,
        metadata={"simulated": kdata.simulated, "source": kdata.name},
        contrast_limits=display_limits(image, "magnitude"),
    )


def result_name(recipe: Recipe, kdata: KData) -> str:
    """What the layer of a result is called: method and seed."""
    method = METHODS[recipe.method]
    title = method.title.removesuffix(" (default)")
    if method.needs_prior:
        title += f", seed {recipe.seed}"
    if method.needs_prior and recipe.samples > 1:
        title += f", mean of {recipe.samples}"
    return labelled(title, kdata)


def labelled(text: str, kdata: KData) -> str:
    """Say so when the k-space was never measured."""
    return text + SIMULATION if kdata.simulated else text


def summary(result: Result) -> str:
    """One sentence about a finished run."""
    took = f"Done in {result.seconds:.1f} s"
    evaluations = f", {result.nfe} network evaluations" if result.nfe else ""
    residual = f"; data residual {result.residual:.2f} (1 is the noise level)" if math.isfinite(result.residual) else ""
    return f"{took}{evaluations}{residual}."


def _unused_name(viewer: Any, name: str, result: Result) -> str:
    """The name, numbered when another result has it: an earlier result is never replaced by a different one."""
    number, candidate = 1, name
    while (layer := layers.find_layer(viewer, "result", candidate)) is not None:
        earlier = result_of(layer)
        if earlier is not None and np.array_equal(earlier.image, result.image):
            break
        number += 1
        candidate = f"{name} ({number})"
    return candidate
