"""The pictures of the README, taken from the running plugin.

    xvfb-run -a -s "-screen 0 1920x1200x24" python docs/pictures.py

Writes docs/images/{kspace,mask,reconstruct,compare}.png and sweep.png.
"""

from pathlib import Path

import napari
from PIL import Image
from qtpy.QtCore import QEventLoop, QTimer

from napari_lossguide.data import samples
from napari_lossguide.widgets.demo import METHODS, SIZE, SLICE, Demo
from napari_lossguide.widgets.sweep_dock import SweepDock

FOLDER = Path(__file__).parent / "images"
HALF = 25  # steps of the run that is shown on its way


def turn(seconds: float) -> None:
    """Let the window draw for some time."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def main() -> None:
    """Walk through the demonstration and take a picture of each dock."""
    FOLDER.mkdir(exist_ok=True)
    viewer = napari.Viewer(title="napari-lossguide")
    viewer.window._qt_window.resize(*SIZE)
    ended: list[str] = []
    demo = Demo(viewer, samples.template().select(SLICE), METHODS, ended.append)

    def take(name: str) -> None:
        turn(1)
        image = viewer.window._qt_window.grab()
        path = FOLDER / f"{name}.png"
        if not image.save(str(path), "PNG"):
            raise OSError(f"{path} could not be written")
        # 128 colours are enough for grey images and a dark window, and a quarter of the bytes.
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)

    turn(2)
    for name in ("K-space", "Mask"):
        demo.show(name)
        take(name.replace("-", "").lower())
    demo.show("Reconstruct")
    demo.start()
    dock = demo.reconstruct
    while not ended:
        turn(0.1)
        if dock.settings.method.currentData() == METHODS[-1] and dock.panel.bar.value() >= HALF:
            dock.panel.pause.click()
            take("reconstruct")
            dock.panel.pause.click()
            break
    while not ended:
        turn(0.1)
    if ended[0]:
        raise RuntimeError(ended[0])
    while not all("psnr" in row.figures for row in demo.docks["Compare"].table.rows):
        turn(0.5)
    take("compare")
    demo.docks["Compare"].modes.choose("")
    viewer.canvas.grid.enabled = False
    viewer.reset_view()
    sweep = SweepDock(viewer)
    frame = viewer.window.add_dock_widget(sweep, name="Sweep", area="right", tabify=True)
    frame.raise_()
    turn(1)
    sweep.base.steps.setValue(8)
    sweep.rows.choose("mask.acceleration", "3, 6")
    sweep.columns.choose("guidance.gamma", "0.1, 1, 10")
    sweep.panel.button.click()
    while sweep.running:
        turn(0.2)
    take("sweep")
    viewer.close()


if __name__ == "__main__":
    main()
