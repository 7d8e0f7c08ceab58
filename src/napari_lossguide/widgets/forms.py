"""A form from a pydantic model: the field's title, description and limits are the label, the help and the range."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets.editors import Editor, Limits, editor_for, extra
from napari_lossguide.widgets.fold import Fold


class ParamsForm(QWidget):
    """Form that edits the fields of a pydantic model.

    A field may carry hints in ``json_schema_extra``: ``advanced`` (goes under "Advanced", folded), ``live`` (gets a
    slider), ``unit`` (shown behind the number), ``step``, ``titles`` (of the choices of a ``Literal``).

    Parameters
    ----------
    model : the class; each field needs a default or an entry in `values`.
    values : starting values by field name; the model's defaults where absent.
    only : names of the fields to show, in this order; all when None.
    hints : more hints by field name, over those of the model.

    Attributes
    ----------
    changed : signal ``(name, value)``, emitted when a value has changed, by hand or by `set_values`.

    Notes
    -----
    The editor of a field is found by ``form.editor(name)``; its main widget has the field's name as ``objectName`` and
    the title as accessible name.
    """

    changed = Signal(str, object)

    def __init__(
        self,
        model: type[BaseModel],
        values: Mapping[str, Any] | None = None,
        only: Sequence[str] | None = None,
        *,
        hints: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._hints = hints or {}
        self._editors: dict[str, Editor] = {}
        self._last: dict[str, Any] = {}
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._main = form_layout()
        outer.addLayout(self._main)
        self._advanced: QFormLayout | None = None
        start = dict(values or {})
        for name in model.model_fields if only is None else only:
            self._add(name, model.model_fields[name], start)

    def values(self) -> dict[str, Any]:
        """Return the value of every field shown, by name."""
        return {name: editor.get() for name, editor in self._editors.items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show other values; `changed` is emitted once for each that differs.

        Raises
        ------
        KeyError
            If the form has no such field.
        """
        for name, value in values.items():
            self._editors[name].set(value)

    def validated(self) -> BaseModel:
        """Return the model made from the values.

        Raises
        ------
        InvalidInput
            If the model refuses them, with its first reason.
        """
        try:
            return self.model(**self.values())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or self.model.__name__
            raise InvalidInput(f"{where}: {first['msg']} (got {first['input']!r}).") from error

    def editor(self, name: str) -> QWidget:
        """Return the widget that edits a field."""
        return self._editors[name].widget

    def set_title(self, name: str, title: str) -> None:
        """Call a field otherwise than its model does."""
        editor = self.editor(name)
        label = self._rows_of(name).labelForField(editor)
        assert isinstance(label, QLabel)
        label.setText(title)
        editor.setAccessibleName(title)

    def show_row(self, name: str, visible: bool) -> None:
        """Show or hide a field with its label; its value counts either way."""
        self._rows_of(name).setRowVisible(self.editor(name), visible)

    def _rows_of(self, name: str) -> QFormLayout:
        layouts = (self._main, self._advanced)
        return next(x for x in layouts if x is not None and x.indexOf(self.editor(name)) >= 0)

    def _add(self, name: str, field: FieldInfo, start: Mapping[str, Any]) -> None:
        editor = editor_for(field, self._hints.get(name, {}))
        title = field.title or name.replace("_", " ").capitalize()
        value = start[name] if name in start else field.get_default(call_default_factory=True)
        editor.set(value)
        describe(editor.widget, name, title, help_text(name, field))
        label = QLabel(title)
        label.setToolTip(editor.widget.toolTip())
        label.setBuddy(editor.widget)
        label.setWordWrap(True)
        self._layout_of(field).addRow(label, editor.widget)
        self._editors[name] = editor
        self._last[name] = editor.get()
        editor.changed.connect(partial(self._notify, name))

    def _layout_of(self, field: FieldInfo) -> QFormLayout:
        if not extra(field).get("advanced"):
            return self._main
        if self._advanced is None:
            content = QWidget()
            self._advanced = form_layout(content)
            self.layout().addWidget(Fold("Advanced", content))  # type: ignore[union-attr]
        return self._advanced

    def _notify(self, name: str) -> None:
        # An editor of two widgets may report one change twice.
        value = self._editors[name].get()
        if value != self._last[name]:
            self._last[name] = value
            self.changed.emit(name, value)


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Return a form layout that wraps long rows instead of widening the dock."""
    layout = QFormLayout()
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(8)
    layout.setVerticalSpacing(6)
    if parent is not None:
        parent.setLayout(layout)
    return layout


def help_text(name: str, field: FieldInfo) -> str:
    """Return what a field means, its range and its name in scripts."""
    parts = [field.description or field.title or name, Limits.of(field.metadata).text(), f"({name})"]
    return " ".join(part for part in parts if part)


def describe(widget: QWidget, name: str, title: str, help_: str) -> None:
    """Give a widget, and the widgets it is made of, a name, a spoken name and help."""
    widget.setObjectName(name)
    widget.setAccessibleName(title)
    widget.setAccessibleDescription(help_)
    widget.setToolTip(help_)
    for part in widget.findChildren(QWidget):
        if not part.accessibleName():
            part.setAccessibleName(title)
        if isinstance(part, QCheckBox):
            part.setAccessibleName(f"Set {title} by hand")
