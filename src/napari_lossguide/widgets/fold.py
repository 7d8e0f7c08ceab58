"""A part of a dock under a title: when folded it is truly hidden, so that it can leave its work undone."""

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """Widgets under a title that shows and hides them; as high as they need when shown, also if they grow later.

    Parameters
    ----------
    title, widgets : what is folded under which words.
    tip : what it is for.
    expanded : shown at first.

    Attributes
    ----------
    button : the title.
    """

    def __init__(self, title: str, *widgets: QWidget | None, tip: str = "", expanded: bool = False) -> None:
        super().__init__()
        self.button, self._content, self._title = QPushButton(), QWidget(), title
        self.button.setCheckable(True)
        self.button.setFlat(True)
        self.button.setAccessibleName(title)
        self.button.setToolTip(tip or f"Show or hide: {title}.")
        # The arrow is text, and so has the theme's colour; napari paints checked buttons in its loudest colour.
        self.button.setStyleSheet("text-align: left; padding: 2px; border: none; background: transparent")
        self.button.setChecked(expanded)
        self.button.toggled.connect(self._fold)
        inside, layout = QVBoxLayout(self._content), QVBoxLayout(self)
        inside.setContentsMargins(8, 0, 0, 0)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in widgets:
            if widget is not None:
                inside.addWidget(widget)
        layout.addWidget(self.button)
        layout.addWidget(self._content)
        self._fold(expanded)

    def _fold(self, shown: bool) -> None:
        self.button.setText(f"{'▾' if shown else '▸'} {self._title}")
        self._content.setVisible(shown)
