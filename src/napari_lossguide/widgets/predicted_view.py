"""K-space as a reconstruction predicts it, as a part of the K-space dock."""

from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_lossguide.data.display import FLOOR_DB, decibels
from napari_lossguide.data.fourier import rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.kspace_view import KSpaceView
from napari_lossguide.widgets.panel import LayerCombo, Panel, Sentence
from napari_lossguide.widgets.placement import Place
from napari_lossguide.widgets.run_facts import run_facts
from napari_lossguide.widgets.views import held, kdata_of, result_of, role_of
from napari_lossguide.widgets.worker import Errand

SHOWN_DB = (-80.0, 0.0)
MOST_STD = 4.0  # times the noise std that is shown as white


class PredictedView(QWidget):
    """Choice of a result, and a button that shows predicted and acquired k-space and the residual.

    Parameters
    ----------
    panel : the dock it lives in.
    viewer : napari's viewer, or a viewer model.
    view : which coil is shown.
    """

    def __init__(self, panel: Panel, viewer: Any, view: KSpaceView) -> None:
        super().__init__()
        self._panel, self._viewer, self._view = panel, viewer, view
        self.result = LayerCombo(panel, viewer, _is_result, "no reconstruction yet")
        self.result.setAccessibleName("Reconstruction")
        self.result.setToolTip("The result whose k-space is predicted and compared with the acquired one.")
        self.button, self.note = QPushButton("Show predicted and residual"), Sentence("Residual")
        self.button.setToolTip(
            "F (maps × image) of all points, the points that were used, and their difference there, in units of the "
            "noise std if it is known, else in dB. The coil is that of the slider above."
        )
        self._errand = Errand(self)
        self._errand.ended.connect(self._show)
        self.button.clicked.connect(self._start)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.result, self.button, self.note):
            layout.addWidget(widget)

    def _start(self) -> None:
        with self._panel.attempt():
            layer = self.result.layer
            result = None if layer is None else result_of(layer)
            if layer is None or result is None:
                raise InvalidInput("There is no reconstruction to predict k-space from; run one first.")
            kdata, coil = input_of(layer, self._viewer.layers), self._view.chosen_coil
            name, facts = layer.name, run_facts(result)

            def compute() -> Any:
                from napari_lossguide.recon.predicted import predict

                return kdata, coil, name, facts, predict(result, kdata)

            self.button.setEnabled(False)
            self._errand.start(compute, "predicted k-space")

    def _show(self, found: Any) -> None:
        self.button.setEnabled(True)
        with self._panel.attempt():
            if isinstance(found, Failure):
                raise InvalidInput(found.sentence)
            kdata, coil, name, facts, predicted = found
            if coil is not None and coil >= kdata.n_coils:
                raise InvalidInput(f"Coil {coil + 1} is not in {kdata.name}; choose one of its {kdata.n_coils} coils.")
            acquired, whole, residual = (
                _magnitude(x, coil) for x in (predicted.acquired, predicted.predicted, predicted.residual())
            )
            acquired[..., ~predicted.used] = residual[..., ~predicted.used] = np.nan
            largest, limits, unit = float(np.nanmax(acquired)), SHOWN_DB, "dB"
            if predicted.noise_std is not None:
                coils = kdata.n_coils if coil is None else 1
                residual, limits, unit = residual / (predicted.noise_std * coils**0.5), (0.0, MOST_STD), "noise std"
            else:
                residual = decibels(residual, largest)
            pictures = (
                ("Acquired k-space", "acquired k-space", decibels(acquired, largest), SHOWN_DB),
                ("Predicted k-space", "predicted k-space", decibels(whole, largest), SHOWN_DB),
                (f"k-space residual ({unit})", "k-space residual", residual.astype(np.float32), limits),
            )
            for word, role, data, between in pictures:
                layers.show_image(
                    self._viewer,
                    data,
                    name=f"{word} of {name}",
                    role=role,
                    place=Place.of(kdata),
                    metadata={**facts, "simulated": kdata.simulated, "of": name, "view": role, "coil": coil},
                    contrast_limits=between,
                    colormap="inferno" if role == "k-space residual" else "gray",
                )
            self._view.grid.suggest()  # on top of each other they would hide each other
            level = predicted.level()
            unit = "noise std" if predicted.noise_std is not None else "of the data"
            self.note.show_text(
                f"Residual on the acquired points, root mean square over coils and slices: {level:.3g} × {unit}. "
                f"0 dB is the largest acquired magnitude; the floor is {FLOOR_DB:g} dB."
            )


def input_of(layer: Layer, others: Any) -> KData:
    """K-space that a result was made from, found by its name among the layers.

    Raises
    ------
    InvalidInput
        If no layer carries it.
    """
    source = held(layer).get("source")
    for other in others:
        kdata = kdata_of(other)
        if kdata is not None and source in (None, kdata.name):
            return kdata
    raise InvalidInput(f"The k-space {source or ''} that {layer.name!r} was made from is not open; open it again.")


def _is_result(layer: Layer) -> bool:
    return isinstance(layer, Image) and role_of(layer) == "result" and result_of(layer) is not None


def _magnitude(kspace: np.ndarray, coil: int | None) -> np.ndarray:
    return rss(kspace) if coil is None else np.abs(kspace[:, coil])
