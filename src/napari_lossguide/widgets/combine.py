"""The choice of a method: the list of presets under headings, and the three parts of a combination of one's own."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_lossguide.recon.method import taken_by
from napari_lossguide.recon.methods import GROUPS, METHODS, OF_YOUR_OWN, SAMPLERS, Method, combinations, group, here
from napari_lossguide.recon.parts import GUIDANCE_PARTS, SAMPLER_PARTS, SCHEDULE_PARTS, Part
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.panel import Sentence

COMBINE = "combine"
TIP = Qt.ItemDataRole.ToolTipRole
HELP = {
    "Schedule": "Which noise levels are visited, and how often.",
    "Sampler": "How the image goes from one noise level to the next.",
    "Guidance": "How the measured data correct the image on its way.",
}


class MethodCombo(ComboBox):
    """Every preset under the heading of its group, and "Combine…" at the end; the data of an entry is its name.

    Those that need a program which this machine does not have are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        for title in (*GROUPS, OF_YOUR_OWN):
            self._add_heading(title)
            for method in here():
                if group(method) == title:
                    self.addItem(method.title, method.name)
                    self.setItemData(self.count() - 1, about(method), TIP)
        self.addItem("Combine…", COMBINE)
        self.setItemData(self.count() - 1, "Choose schedule, sampler and guidance one by one.", TIP)
        self.choose(next(iter(METHODS)))

    def choose(self, name: str) -> None:
        """Choose a preset, or "Combine…" for a combination."""
        self.setCurrentIndex(self.findData(name if name in METHODS else COMBINE))

    def _add_heading(self, title: str) -> None:
        self.addItem(title)
        item = self.model().item(self.count() - 1)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)


class Combine(QWidget):
    """Three combo boxes, of which the guidance offers what the sampler can do with.

    A sampler that the chosen guidance does not fit can be chosen all the same, or some pairs would never be reached:
    the guidance gives way.

    Attributes
    ----------
    changed : signal, emitted when another combination is chosen, by hand or by `choose`.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.schedule, self.sampler = _part_combo(SCHEDULE_PARTS), _part_combo(SAMPLER_PARTS)
        self.guidance, self.note = _part_combo(GUIDANCE_PARTS), Sentence("What can be combined")
        self._reasons = combinations()
        layout, rows = QVBoxLayout(self), form_layout()
        layout.setContentsMargins(0, 0, 0, 0)
        for title, box in zip(HELP, (self.schedule, self.sampler, self.guidance), strict=True):
            box.setAccessibleName(title)
            box.setAccessibleDescription(HELP[title])
            rows.addRow(title, box)
            rows.labelForField(box).setToolTip(HELP[title])
        layout.addLayout(rows)
        layout.addWidget(self.note)
        self._fit()
        self.schedule.currentIndexChanged.connect(self._tell)
        self.sampler.currentIndexChanged.connect(self._sampler_chosen)
        self.guidance.currentIndexChanged.connect(self._guidance_chosen)

    def name(self) -> str:
        """Return the combination, "karras+heun+proximal"."""
        return "+".join(box.currentData() for box in (self.schedule, self.sampler, self.guidance))

    def choose(self, schedule: str, sampler: str, guidance: str) -> None:
        """Show a combination, which must make sense; `changed` is emitted once if it is another one."""
        before = self.name()
        self.blockSignals(True)
        self.schedule.setCurrentIndex(self.schedule.findData(schedule))
        self.sampler.setCurrentIndex(self.sampler.findData(sampler))
        self.guidance.setCurrentIndex(self.guidance.findData(guidance))
        self.blockSignals(False)
        if self.name() != before:
            self.changed.emit()

    def _guidance_chosen(self) -> None:
        self._fit()
        self._tell()

    def _sampler_chosen(self) -> None:
        was, sampler = self.guidance.currentData(), self.sampler.currentData()
        replaced = ""
        if self._reasons[sampler, was]:
            replaced = self.guidance.currentText()
            self.guidance.blockSignals(True)
            fits = next(i for i, part in enumerate(GUIDANCE_PARTS) if not self._reasons[sampler, part.name])
            self.guidance.setCurrentIndex(fits)
            self.guidance.blockSignals(False)
        self._fit(replaced)
        self._tell()

    def _tell(self) -> None:
        for box in (self.schedule, self.sampler, self.guidance):
            box.setToolTip(box.currentData(TIP))
        self.changed.emit()

    def _fit(self, replaced: str = "") -> None:
        """Grey what does not fit, and say why."""
        sampler, guidance = self.sampler.currentData(), self.guidance.currentData()
        for index, part in enumerate(GUIDANCE_PARTS):
            reason = self._reasons[sampler, part.name]
            fitting = [p.title for p in SAMPLER_PARTS if not self._reasons[p.name, part.name]]
            why = f"\nNot with {self.sampler.currentText()}: {reason}. Goes with {', '.join(fitting)}."
            self.guidance.model().item(index).setEnabled(not reason)
            self.guidance.setItemData(index, part.summary + (why if reason else ""), TIP)
        for index, own in enumerate(SAMPLER_PARTS):
            gives_way = f"\nReplaces the guidance '{self.guidance.currentText()}': "
            reason = self._reasons[own.name, guidance]
            self.sampler.setItemData(index, own.summary + (f"{gives_way}{reason}." if reason else ""), TIP)
        self._say(replaced)

    def _say(self, replaced: str) -> None:
        sampler, title = self.sampler.currentData(), self.sampler.currentText()
        greyed = any(self._reasons[sampler, part.name] for part in GUIDANCE_PARTS)
        parts = []
        if replaced:
            parts.append(f"'{replaced}' does not go with this sampler; '{self.guidance.currentText()}' was chosen.")
        if greyed:
            where = taken_by(SAMPLERS[sampler])
            parts.append(f"{title} lets only {where} be corrected: guidances that correct elsewhere are greyed.")
        self.note.show_text(" ".join(parts))


def about(method: Method) -> str:
    """What a method does and who says so."""
    return f"{method.summary}\n{method.paper}".strip()


def _part_combo(parts: Sequence[Part[Any]]) -> ComboBox:
    box = ComboBox()
    for index, part in enumerate(parts):
        box.addItem(part.title, part.name)
        box.setItemData(index, part.summary, TIP)
    box.setToolTip(parts[0].summary)
    return box
