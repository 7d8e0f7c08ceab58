"""Sets of values of a method's parameters: its defaults, and those that a person keeps; the way back to either."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QPushButton, QWidget

from napari_lossguide.recon.kept_values import KeptValues, values_file
from napari_lossguide.recon.methods import Method
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.method_form import MethodForm

DEFAULTS = "Defaults"
CHANGED = " (changed)"


class ValuesRow(QWidget):
    """Choice of a set of values, the button that goes back to it, and a menu to keep and to forget sets.

    Parameters
    ----------
    attempt : context that shows what goes wrong inside.
    path : of the file with the kept values; None: that of the user.

    Attributes
    ----------
    box, reset, more : the controls.
    """

    def __init__(self, attempt: Callable[[], AbstractContextManager[None]], path: Path | None = None) -> None:
        super().__init__()
        self._attempt, self._kept = attempt, KeptValues(path or values_file())
        self._form: MethodForm | None = None
        self.box, self.reset, self.more = ComboBox(), QPushButton("Reset"), QPushButton("⋯")
        self._build()

    def show_form(self, form: MethodForm) -> None:
        """Serve another form; its method's sets are offered."""
        self._form = form
        form.changed.connect(self._tell)
        self._list(DEFAULTS)

    def values(self) -> Mapping[str, Any]:
        """The chosen set, by full parameter name.

        Raises
        ------
        InvalidInput
            If it cannot be read, or the method does not take it any more.
        """
        chosen = self._method()
        name = self.box.currentData()
        if name:
            return self._kept.get(chosen.name, name)
        return {f"{part}.{own}": v for part, values in chosen.settings().items() for own, v in values.items()}

    def keep(self, name: str) -> None:
        """Keep the values of the form under a name."""
        with self._attempt():
            assert self._form is not None
            self._kept.keep(self._method().name, name, self._form.values())
            self._list(name.strip())

    def forget(self) -> None:
        """Forget the chosen set; the form stays as it is."""
        with self._attempt():
            if self.box.currentData():
                self._kept.forget(self._method().name, self.box.currentData())
            self._list(DEFAULTS)

    def _method(self) -> Method:
        assert self._form is not None
        return self._form.method

    def _list(self, chosen: str) -> None:
        names: list[str] = []
        with self._attempt():
            names = self._kept.names(self._method().name)
        with QSignalBlocker(self.box):
            self.box.clear()
            self.box.addItem(DEFAULTS, "")
            for name in names:
                self.box.addItem(name, name)
            self.box.setCurrentIndex(max(0, self.box.findText(chosen)))
        self._tell()

    def _apply(self) -> None:
        with self._attempt():
            if self._form is not None:
                for name, value in self.values().items():
                    self._form.set_value(name, value)
        self._tell()

    def _tell(self) -> None:
        """Say whether the form still has the values of the set."""
        assert self._form is not None
        try:
            changed = dict(self.values()) != self._form.values()
        except ValueError:  # a set that the method does not take: choosing it has said so
            changed = True
        for index in range(self.box.count()):
            name = self.box.itemData(index) or DEFAULTS
            here = index == self.box.currentIndex()
            self.box.setItemText(index, name + CHANGED if here and changed else name)
        self.reset.setEnabled(changed)

    def _ask_and_keep(self) -> None:
        name, given = QInputDialog.getText(self, "Keep these values", "Name:", text=self.box.currentData() or "")
        if given:
            self.keep(name)

    def _build(self) -> None:
        self.box.setAccessibleName("Values")
        self.box.setToolTip("Values of all parameters of this method: its defaults, or a set that you kept.")
        self.box.setMinimumContentsLength(6)
        self.reset.setToolTip(
            "Back to the values of the chosen set. During a run the live knobs follow at the next step; the others "
            "offer to start again."
        )
        self.more.setAccessibleName("Keep or forget values")
        self.more.setToolTip("Keep the values of this form under a name, for this method, or forget the chosen set.")
        self.more.setMaximumWidth(28)
        menu = QMenu(self.more)
        menu.addAction("Keep these values…", self._ask_and_keep)
        self._forget = menu.addAction("Forget this set", self.forget)
        menu.aboutToShow.connect(lambda: self._forget.setEnabled(bool(self.box.currentData())))
        self.more.setMenu(menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.reset)
        layout.addWidget(self.more)
        self.box.currentIndexChanged.connect(lambda _: self._apply())
        self.reset.clicked.connect(self._apply)
