"""A choice of one layer, or of none on purpose."""

from typing import Any

from napari.layers import Layer

from napari_lossguide.widgets.panel import LayerCombo


class OptionalLayerCombo(LayerCombo):
    """`LayerCombo` whose first entry, named by `empty`, stands for no layer; it is chosen at the start."""

    @property
    def layer(self) -> Layer | None:
        """The chosen layer."""
        return self._chosen

    @layer.setter
    def layer(self, layer: Layer | None) -> None:
        self.setCurrentIndex(0 if layer is None else self._layers.index(layer))

    def refresh(self, event: Any = None) -> None:
        """Read the viewer's layers again; the choice falls back to none when its layer is gone."""
        layers: list[Any] = [None, *(layer for layer in self._viewer.layers if self._accepts(layer))]
        self._layers = layers
        keep = layers.index(self._chosen) if self._chosen in layers else 0
        self.blockSignals(True)
        self.clear()
        self.addItems([self.placeholderText(), *(layer.name for layer in layers[1:])])
        self.setCurrentIndex(keep)
        self.blockSignals(False)
        self._choose(keep)
