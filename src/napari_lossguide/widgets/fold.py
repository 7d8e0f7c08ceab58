"""A part of a dock under a title: folded at first, and then truly hidden, so that it can leave its work undone."""

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget


class Folded(QWidget):
    """A widget under a title that shows and hides it; as high as it needs when shown, also if it grows later.

    Parameters
    ----------
    title, content : what is folded under which words.
    tip : what it is for.

    Attributes
    ----------
    button : the title.
    """

    def __init__(self, title: str, content: QWidget, tip: str) -> None:
        super().__init__()
        self.button, self._content, self._title = QPushButton(), content, title
        self.button.setCheckable(True)
        self.button.setFlat(True)
        self.button.setAccessibleName(title)
        self.button.setToolTip(tip)
        self.button.setStyleSheet("text-align: left; padding: 2px; border: none; background: transparent")
        self.button.toggled.connect(self._fold)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(content)
        content.setContentsMargins(8, 0, 0, 0)
        self._fold(False)

    def _fold(self, shown: bool) -> None:
        self.button.setText(f"{'▾' if shown else '▸'} {self._title}")
        self._content.setVisible(shown)
