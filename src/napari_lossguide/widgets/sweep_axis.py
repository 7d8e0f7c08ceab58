"""One axis of a sweep: which parameter varies, and its values."""

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_lossguide.recon.axes import NO_AXIS, Axis
from napari_lossguide.recon.axis_text import HOW
from napari_lossguide.recon.variables import Variable
from napari_lossguide.widgets.boxes import ComboBox

TIP = 3  # Qt.ToolTipRole
NOTHING = "nothing"


class AxisChoice(QWidget):
    """Combo box of parameters above a line for the values.

    Parameters
    ----------
    side : "Rows" or "Columns", for the accessible names.

    Attributes
    ----------
    changed : signal.
    """

    changed = Signal()

    def __init__(self, side: str) -> None:
        super().__init__()
        self._variables: Mapping[str, Variable] = {}
        self.name, self.values = ComboBox(), QLineEdit()
        self._suggested = ""  # what was filled in, not written
        self.name.setAccessibleName(f"{side}: parameter")
        self.values.setAccessibleName(f"{side}: values")
        self.values.setToolTip(HOW)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.name)
        layout.addWidget(self.values)
        self.name.currentIndexChanged.connect(self._choose)
        self.values.textChanged.connect(self.changed)
        self.offer({})

    def offer(self, variables: Mapping[str, Variable]) -> None:
        """Offer other parameters; the chosen one stays chosen if it is among them, and its values are kept."""
        before, self._variables = self.name.currentData(), variables
        self.name.blockSignals(True)
        self.name.clear()
        self.name.addItem(NOTHING, "")
        self.name.setItemData(0, "Nothing varies in this direction.", TIP)
        for index, (title, variable) in enumerate(titled(variables), start=1):
            self.name.addItem(title, variable.name)
            self.name.setItemData(index, variable.tip, TIP)
        self.name.setCurrentIndex(max(0, self.name.findData(before or "")))
        self.name.blockSignals(False)
        self._follow()
        if self.name.currentData() != (before or ""):
            self._choose()
        elif self.values.text() == self._suggested:
            self._suggest()  # nobody wrote it: around the value that the recipe has now

    def choose(self, name: str, values: str | None = None) -> None:
        """Choose a parameter by its full name, with an example of values unless they are given."""
        self.name.setCurrentIndex(self.name.findData(name))
        if values is not None:
            self.values.setText(values)

    def axis(self) -> Axis:
        """What varies.

        Raises
        ------
        InvalidInput
            If the values cannot be used.
        """
        variable = self._variables.get(self.name.currentData() or "")
        return NO_AXIS if variable is None else variable.axis(self.values.text())

    def _choose(self) -> None:
        self._follow()
        self._suggest()
        self.changed.emit()

    def _follow(self) -> None:
        variable = self._variables.get(self.name.currentData() or "")
        self.values.setVisible(variable is not None)
        self.name.setToolTip(
            "Which parameter varies; its values are written below." if variable is None else variable.tip
        )
        kinds = {"string": "names with commas between them", "boolean": "no, yes"}
        self.values.setPlaceholderText(
            "" if variable is None else kinds.get(variable.kind, "1, 2, 4 or log 0.1..10 x5")
        )

    def _suggest(self) -> None:
        variable = self._variables.get(self.name.currentData() or "")
        self._suggested = "" if variable is None else variable.example()
        self.values.setText(self._suggested)


def titled(variables: Mapping[str, Variable]) -> list[tuple[str, Variable]]:
    """Every parameter with a title that no other one has; a mask's says so."""
    plain = [v.title for v in variables.values()]
    found = []
    for variable in variables.values():
        part, _, _ = variable.name.rpartition(".")
        title = variable.title
        if part == "mask":
            title = f"Mask: {title.removeprefix('Mask ')}"
        elif plain.count(title) > 1 and part:
            title = f"{title} ({part})"
        found.append((title, variable))
    return found
