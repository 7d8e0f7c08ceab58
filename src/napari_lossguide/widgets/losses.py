"""Further losses of the estimate, one row each."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.recon.knobs import weight_name
from napari_lossguide.recon.methods import first_complaint
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.method_form import NOT_LIVE
from napari_lossguide.widgets.panel import heading

LIVE = "Live: turned during a run, it takes effect at the next step."
TITLES = {"tv": "Total variation", "range": "Range of magnitudes", "region": "Data in the region"}


class LossRow(QFrame):
    """One loss: its kind, its weight, and for a range its ends.

    Parameters
    ----------
    term : to begin with.

    Attributes
    ----------
    changed : signal, when anything but the weight has changed.
    turned : signal ``(weight)``.
    removed : signal, when the button was pressed.
    """

    changed, turned, removed = Signal(), Signal(float), Signal()

    def __init__(self, term: LossTerm) -> None:
        super().__init__()
        self.form = ParamsForm(LossTerm, term.model_dump(), hints={"kind": {"titles": TITLES}})
        self.button = QToolButton()
        self.button.setText("✕")
        self.button.setToolTip("Remove this loss.")
        self.button.setAccessibleName("Remove this loss")
        self.button.clicked.connect(lambda _: self.removed.emit())
        self.form.changed.connect(self._update)
        for name, when in (("weight", LIVE), *((name, NOT_LIVE) for name in ("kind", "low", "high"))):
            self.form.editor(name).setToolTip(f"{self.form.editor(name).toolTip()}\n{when}")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form, 1)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self._show_ends()

    def number(self, number: int) -> None:
        """Say which loss it is, from 1; the curve's marks call it so."""
        self.form.set_title("kind", f"Loss {number}")
        self.form.editor("weight").setAccessibleName(f"Weight of loss {number}")

    def _update(self, name: str, value: Any) -> None:
        if name == "weight":
            self.turned.emit(float(value))
        else:
            self._show_ends()
            self.changed.emit()

    def _show_ends(self) -> None:
        for name in ("low", "high"):
            self.form.show_row(name, self.form.values()["kind"] == "range")


class FurtherLosses(QWidget):
    """The rows, with a button that adds one.

    Attributes
    ----------
    changed : signal, emitted when a row is added or removed, or anything but a weight is edited.
    live_changed : signal ``(full name, value)`` of a weight; of every one when a row was added or removed by hand.
    rows : in their order.
    """

    changed = Signal()
    live_changed = Signal(str, float)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[LossRow] = []
        self.add = QPushButton("Add a loss")
        self.add.setAccessibleName("Add a further loss")
        self.add.clicked.connect(lambda _: self._add())
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        title = heading("Further losses")
        title.setToolTip("Losses of the estimate beside the data term; each pulls at every step. The weights are live.")
        self._layout.addWidget(title)
        self._layout.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        self.allow("")

    def values(self) -> tuple[LossTerm, ...]:
        """Every row.

        Raises
        ------
        InvalidInput
            If low is not below high.
        """
        try:
            return tuple(LossTerm(**row.form.values()) for row in self.rows)
        except ValidationError as error:
            raise InvalidInput(first_complaint(error, "losses")) from error

    def kinds(self) -> set[str]:
        """Which kinds there are."""
        return {row.form.values()["kind"] for row in self.rows}

    def set_values(self, terms: Iterable[LossTerm]) -> None:
        """Show these losses in the place of those there are."""
        for row in list(self.rows):
            self._drop(row)
        for term in terms:
            self.add_row(term)
        self.changed.emit()

    def add_row(self, term: LossTerm) -> None:
        """Add one loss."""
        row = LossRow(term)
        row.changed.connect(self.changed)
        row.turned.connect(lambda value: self.live_changed.emit(weight_name(self.rows.index(row)), value))
        row.removed.connect(lambda: self._remove(row))
        self.rows.append(row)
        self._layout.insertWidget(len(self.rows), row)
        self._number()
        self.changed.emit()

    def allow(self, reason: str) -> None:
        """Let losses be added, unless there is a reason why the method takes none."""
        self.add.setEnabled(not reason)
        self.add.setToolTip(reason or "Add a loss: total variation, a range of magnitudes, or the data in a region.")

    def _add(self) -> None:
        self.add_row(LossTerm(kind="tv"))
        self._tell_weights()

    def _remove(self, row: LossRow) -> None:
        self._drop(row)
        self.changed.emit()
        self._tell_weights()

    def _tell_weights(self) -> None:
        """Another row is now the first, the second, ...; a run that has as many losses again follows their weights."""
        for index, row in enumerate(self.rows):
            self.live_changed.emit(weight_name(index), float(row.form.values()["weight"]))

    def _drop(self, row: LossRow) -> None:
        self.rows.remove(row)
        self._layout.removeWidget(row)
        row.hide()
        row.deleteLater()
        self._number()

    def _number(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            row.number(number)
