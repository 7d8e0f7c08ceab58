"""Further losses of the estimate, one row each."""

from collections.abc import Iterable

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.recon.methods import first_complaint
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.forms import ParamsForm
from napari_lossguide.widgets.panel import heading

TITLES = {"tv": "Total variation", "range": "Range of magnitudes", "region": "Data in the region"}


class LossRow(QFrame):
    """One loss: its kind, its weight, and for a range its ends.

    Parameters
    ----------
    term : to begin with.

    Attributes
    ----------
    changed : signal.
    removed : signal, when the button was pressed.
    """

    changed, removed = Signal(), Signal()

    def __init__(self, term: LossTerm) -> None:
        super().__init__()
        self.form = ParamsForm(LossTerm, term.model_dump(), hints={"kind": {"titles": TITLES}})
        self.button = QToolButton()
        self.button.setText("✕")
        self.button.setToolTip("Remove this loss.")
        self.button.setAccessibleName("Remove this loss")
        self.button.clicked.connect(lambda _: self.removed.emit())
        self.form.changed.connect(self._update)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form, 1)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self._show_ends()

    def _update(self) -> None:
        self._show_ends()
        self.changed.emit()

    def _show_ends(self) -> None:
        for name in ("low", "high"):
            self.form.show_row(name, self.form.values()["kind"] == "range")


class FurtherLosses(QWidget):
    """The rows, with a button that adds one.

    Attributes
    ----------
    changed : signal, emitted when a row is added, removed or edited.
    rows : in their order.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[LossRow] = []
        self.add = QPushButton("Add a loss")
        self.add.setAccessibleName("Add a further loss")
        self.add.clicked.connect(lambda _: self.add_row(LossTerm(kind="tv")))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        title = heading("Further losses")
        title.setToolTip("Losses of the estimate beside the data term; each pulls at every step.")
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
        row.removed.connect(lambda: self._remove(row))
        self.rows.append(row)
        self._layout.insertWidget(len(self.rows), row)
        self.changed.emit()

    def allow(self, reason: str) -> None:
        """Let losses be added, unless there is a reason why the method takes none."""
        self.add.setEnabled(not reason)
        self.add.setToolTip(reason or "Add a loss: total variation, a range of magnitudes, or the data in a region.")

    def _remove(self, row: LossRow) -> None:
        self._drop(row)
        self.changed.emit()

    def _drop(self, row: LossRow) -> None:
        self.rows.remove(row)
        self._layout.removeWidget(row)
        row.hide()
        row.deleteLater()
