"""Where a run computes: on this machine, or on a worker of a Dask cluster."""

from collections.abc import Callable, Generator
from functools import partial

from qtpy.QtWidgets import QLineEdit, QWidget

from napari_lossguide.data.kdata import KData
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.remote import Remote, look
from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.recon.tape import Tape
from napari_lossguide.widgets.boxes import ComboBox
from napari_lossguide.widgets.failure import Failure
from napari_lossguide.widgets.forms import form_layout
from napari_lossguide.widgets.panel import Sentence
from napari_lossguide.widgets.run_panel import RunPanel
from napari_lossguide.widgets.settings import keep_scheduler, read_settings
from napari_lossguide.widgets.worker import Errand, Job

PLACES = {"here": "this machine", "dask": "Dask…"}


def start_on(
    remote: Remote, kdata: KData, recipe: Recipe, device: str, live: Live, tape: Tape, say: Callable[[str], None]
) -> Generator[Progress, None, Result]:
    """Start the engine of a cluster; called in the thread of the run, which only asks and waits."""
    remote.say = say
    return remote.reconstruction(kdata, recipe, device=device, live=live, tape=tape)


class RunOn(QWidget):
    """Choice of the place, the address of the cluster, and what is known of it.

    Attributes
    ----------
    place, address : boxes; the address is kept in napari's preferences.
    facts : what the cluster has, or why it cannot be used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place, self.address, self.facts = ComboBox(), QLineEdit(), Sentence("Cluster")
        for key, title in PLACES.items():
            self.place.addItem(title, key)
        self._errand = Errand(self)
        self._errand.ended.connect(self._show_facts)
        self._asked = ""  # the address that was looked at last
        self._build()

    def remote(self) -> Remote | None:
        """The cluster for the next run; None for this machine. The run says what is wrong with the address."""
        return Remote(self.address.text().strip()) if self.place.currentData() == "dask" else None

    def follow(self, remote: Remote, job: Job, panel: RunPanel) -> None:
        """Show what the worker of a run computes with, in the place of what this machine does."""
        job.watched.disconnect(panel.show_machine)
        job.progressed.connect(lambda _: panel.show_machine(remote.machine))

    def _build(self) -> None:
        self.place.setAccessibleName("Run on")
        self.place.setToolTip(
            "Where runs compute from now on: in this process, or on a free worker of a Dask cluster. Preview, live "
            "knobs, Pause and Cancel work there too."
        )
        self.address.setAccessibleName("Scheduler")
        self.address.setPlaceholderText("tcp://127.0.0.1:8786")
        self.address.setText(read_settings().scheduler)
        self.address.setToolTip(
            "Address of the Dask scheduler, as it says itself when it starts. Return asks it for its workers. Whoever "
            "can reach it can run code on them: use a network that you trust."
        )
        self._rows = form_layout(self)
        self._rows.addRow("Run on", self.place)
        self._rows.addRow("Scheduler", self.address)
        self._rows.addRow(self.facts)
        self._rows.setRowVisible(self.address, False)
        self.place.currentIndexChanged.connect(self._choose)
        self.address.editingFinished.connect(self._look)
        self.address.returnPressed.connect(partial(self._look, again=True))

    def _choose(self) -> None:
        there = self.place.currentData() == "dask"
        self._rows.setRowVisible(self.address, there)
        self.facts.show_text("")
        if there:
            self._look(again=True)

    def _look(self, again: bool = False) -> None:
        """Ask the cluster what it has, in a thread; the same address once, unless that is wanted."""
        address = self.address.text().strip()
        if self.place.currentData() != "dask" or (address == self._asked and not again):
            return
        self._asked = address
        keep_scheduler(address)
        self.facts.show_text(f"Asking {address}…" if address else "Give the address of a Dask scheduler.")
        if address:
            self._errand.start(partial(look, address), "Asking the Dask cluster")

    def _show_facts(self, outcome: str | Failure) -> None:
        if self.place.currentData() != "dask":
            return
        if isinstance(outcome, Failure):
            self.facts.show_text(outcome.sentence, colour="error")
        else:
            self.facts.show_text(outcome)
