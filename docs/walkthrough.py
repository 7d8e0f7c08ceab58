"""A walk through the plugin by its controls, with a picture of every step: those of docs/tutorial.md, and a test.

    xvfb-run -a -s "-screen 0 1920x1200x24" python docs/walkthrough.py docs/images/tutorial

The first napari ends with a saved recipe; a second one, started afterwards, loads it and must get the same image bit by
bit. QT_API chooses the Qt binding (pyside6 or pyqt6).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import napari
import numpy as np
import qtpy
from PIL import Image
from qtpy.QtCore import QEvent, QEventLoop, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_lossguide.widgets.views import held, result_of, role_of

PLUGIN, SAMPLE = "napari-lossguide", "template"
SIZE = (1280, 720)
RECIPE, IMAGE = "recipe.json", "image.json"
PATIENCE = 600  # seconds for any one thing


class Walk:
    """napari with the docks, a hand for the mouse and a camera.

    Parameters
    ----------
    folder : of pictures, recipe and the image's hash.
    first : number of the first picture.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self.folder, self.number = folder, first
        self.viewer = napari.Viewer(title="napari-lossguide")
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        turn(1)

    def dock(self, name: str) -> Any:
        """Open a dock from napari's menu, or bring it to the front."""
        frame, widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        frame.raise_()
        turn(0.3)
        return widget

    def take(self, name: str) -> None:
        """A picture of the window."""
        turn(0.7)
        path = self.folder / f"{self.number:02d}-{name}.png"
        self.number += 1
        self.window.grab().save(str(path), "PNG")
        # 128 colours are enough for grey images and a dark window, and a quarter of the bytes.
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
        print(path.name, flush=True)

    def drag(self, *corners: tuple[float, float]) -> None:
        """Press the mouse at the first place (y, x) in mm, drag it over the others and let go."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        camera, (height, width) = self.viewer.scene.camera, self.viewer.canvas.size

        def at(place: tuple[float, float]) -> QPointF:
            y, x = (p - c for p, c in zip(place, camera.center[-2:], strict=True))
            return QPointF(width / 2 + x * camera.zoom, height / 2 + y * camera.zoom)

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        path = [at(p) for p in corners]
        send(canvas, QEvent.Type.MouseMove, path[0], none, none)
        send(canvas, QEvent.Type.MouseButtonPress, path[0], left, left)
        for start, end in pairwise(path):
            for part in np.linspace(0.1, 1, 10):
                send(canvas, QEvent.Type.MouseMove, start + (end - start) * float(part), none, left)
        send(canvas, QEvent.Type.MouseButtonRelease, path[-1], left, none)
        turn(0.3)

    def results(self) -> list[Any]:
        """Layers of reconstructions."""
        return [layer for layer in self.viewer.layers if role_of(layer) == "result"]


def send(widget: Any, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held_down: Qt.MouseButton) -> None:
    """Give a widget a mouse event."""
    place = QPointF(widget.mapToGlobal(at.toPoint()))
    QApplication.sendEvent(widget, QMouseEvent(kind, at, place, button, held_down, Qt.KeyboardModifier.NoModifier))
    turn(0.02)


def turn(seconds: float) -> None:
    """Let the window live for some time."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def wait(until: Callable[[], bool], what: str) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {PATIENCE} s")
        turn(0.05)


def until_done(dock: Any) -> None:
    """Wait for the end of a run, which must have gone well."""
    wait(lambda: not dock.running, "the run")
    if not dock.status.sentence.startswith("Done"):
        raise RuntimeError(dock.status.sentence)


def mask_by_hand(walk: Walk) -> None:
    """A mask from parameters, and three more columns with the brush."""
    dock = walk.dock("Mask")
    wait(lambda: dock.layer.layer is not None, "the mask")
    dock.kind.setCurrentIndex(dock.kind.findData("equispaced"))
    wait(lambda: "equispaced" in str(held(dock.layer.layer).get("mask")), "the mask of that kind")
    dock.previews.grid.setChecked(False)
    for box in dock.previews.boxes.values():
        box.setChecked(False)
    walk.viewer.reset_view()
    dock.buttons["draw"].click()
    dock.layer.layer.brush_size = 1
    before = dock.layer.mask.sum()
    y, x = (0.5 * n * s for n, s in zip(dock.layer.mask.shape, dock.layer.layer.scale, strict=True))
    walk.drag((y, x + 20), (y, x + 26))
    wait(lambda: dock.layer.mask.sum() > before, "the stroke")
    if not (dock.layer.mask == dock.layer.mask[:1]).all() or "by hand" not in dock.badge.sentence:
        raise RuntimeError("The stroke did not fill its lines.")
    walk.take("mask")
    for box in dock.previews.boxes.values():
        box.setChecked(True)


def tuned_run(walk: Walk, steps: int) -> Any:
    """A run whose knob is turned, that is paused, looked at and gone on with."""
    dock = walk.dock("Reconstruct")
    if dock.settings.mask.layer is None:
        raise RuntimeError("The mask was not taken.")
    dock.settings.device.setCurrentIndex(dock.settings.device.findData("cpu"))
    dock.settings.method.choose("prox-ddim")
    dock.settings.form.set_value("schedule.steps", steps)
    walk.viewer.canvas.grid.enabled = False
    walk.viewer.reset_view()
    dock.panel.button.click()
    wait(lambda: dock.timeline.step > steps // 3, "the first steps")
    dock.settings.form.set_value("guidance.gamma", 3.0)
    wait(lambda: bool(dock.panel.curve.marks), "the mark of the knob")
    walk.take("knob")
    dock.panel.pause.click()
    wait(dock.timeline.button.isEnabled, "the pause")
    walk.take("pause")
    dock.timeline.slider.setValue(max(2, steps // 2))
    dock.timeline.what.setCurrentIndex(dock.timeline.what.findData("state"))
    walk.take("scrub")
    dock.panel.pause.click()
    until_done(dock)
    walk.take("result")
    return dock


def branch(walk: Walk, dock: Any, steps: int) -> None:
    """A branch from the middle, with its own name and another knob; both stand side by side."""
    dock.timeline.slider.setValue(steps // 2)
    dock.timeline.title.setText("looser")
    dock.settings.form.set_value("guidance.gamma", 0.3)
    dock.timeline.button.click()
    until_done(dock)
    if len(walk.results()) != 2 or not walk.results()[1].name.startswith("looser"):
        raise RuntimeError("The branch has no layer of its own.")
    dock.timeline.together.click()
    walk.take("branch")
    dock.timeline.together.click()


def compare(walk: Walk) -> None:
    """Both against the true image, over the whole and in a drawn rectangle."""
    dock = walk.dock("Compare")
    dock.add_reference()
    dock.modes.choose("side by side")
    wait(lambda: len([r for r in dock.table.rows if "psnr" in r.figures]) == 2, "the figures")
    whole = [row.figures["psnr"] for row in dock.table.rows]
    walk.take("compare")
    dock.modes.choose("")
    walk.viewer.canvas.grid.enabled = False
    walk.viewer.reset_view()
    dock.draw.click()
    walk.drag((70, 60), (130, 120))
    dock.region.layer.mode = "pan_zoom"
    wait(lambda: [row.figures.get("psnr") for row in dock.table.rows] != whole, "the figures of the region")
    walk.take("region")


def first(folder: Path, steps: int) -> None:
    """From the sample to the saved recipe."""
    walk = Walk(folder, 1)
    walk.viewer.open_sample(PLUGIN, SAMPLE)
    walk.dock("K-space")
    walk.take("sample")
    mask_by_hand(walk)
    dock = tuned_run(walk, steps)
    branch(walk, dock, steps)
    compare(walk)
    walk.dock("Reconstruct")
    with mock.patch.object(QFileDialog, "getSaveFileName", return_value=(str(folder / RECIPE), "")):
        dock.recipes.ask_and_save()
    walk.take("saved")
    image = result_of(walk.results()[1])
    (folder / IMAGE).write_text(json.dumps({"image": image.provenance["image_sha256"]}))
    walk.viewer.close()


def second(folder: Path) -> None:
    """The recipe again, in a napari that knows nothing of the first one."""
    walk = Walk(folder, 11)
    walk.viewer.open_sample(PLUGIN, SAMPLE)
    dock = walk.dock("Reconstruct")
    with mock.patch.object(QFileDialog, "getOpenFileName", return_value=(str(folder / RECIPE), "")):
        dock.recipes.ask_and_load()
    dock.settings.device.setCurrentIndex(dock.settings.device.findData("cpu"))
    walk.take("loaded")
    dock.panel.button.click()
    until_done(dock)
    walk.take("same")
    image = result_of(walk.results()[0]).provenance["image_sha256"]
    walk.viewer.close()
    if image != json.loads((folder / IMAGE).read_text())["image"]:
        sys.exit("The recipe gave another image.")
    print("the same image, bit by bit")


def main() -> None:
    """Both walks, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for pictures and recipe")
    parser.add_argument("--steps", type=int, default=18, help="network evaluations of a slice")
    parser.add_argument("--part", choices=("first", "second"), help="one of the two processes")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.part == "first":
        print(qtpy.API_NAME, qtpy.QT_VERSION, flush=True)
        first(args.folder, args.steps)
    elif args.part == "second":
        second(args.folder)
    else:
        with tempfile.TemporaryDirectory() as cache:  # results of an earlier napari are none of the walk's
            for part in ("first", "second"):
                command = [sys.executable, __file__, str(args.folder), "--steps", str(args.steps), "--part", part]
                subprocess.run(command, check=True, env={**os.environ, "XDG_CACHE_HOME": cache})


if __name__ == "__main__":
    main()
