"""How long a brush stroke on the mask takes until both previews, zero-filled image and point spread, have followed.

The real viewer and the Mask dock; each of 200 strokes paints or erases one column of a 320 x 320 mask of 8 coils, as a
mouse would do it, and waits until the previews have been shown.

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/mask_preview.py
"""

import argparse
import time

import numpy as np
from gui_stall import turn

LONGEST = 1  # seconds to wait for the canvas
SETTLE = 2  # seconds for the window to come to rest


class Watch:
    """Wraps a function of an object and keeps how many milliseconds its calls took, and when the last one ended."""

    def __init__(self, owner, name):
        self.spent, self.ended, self._function = 0.0, 0.0, getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *args, **kwargs):
        start = time.perf_counter()
        try:
            return self._function(*args, **kwargs)
        finally:
            self.ended = time.perf_counter()
            self.spent += 1000 * (self.ended - start)

    def take(self):
        spent, self.spent = self.spent, 0.0
        return spent


def stroke(dock, layer, column, label, watch):
    """Paint one point; wait until both previews are shown. Milliseconds from the stroke on, and of the stroke."""
    from qtpy.QtWidgets import QApplication

    start = time.perf_counter()
    layer.paint((layer.data.shape[0] // 2, column), label)
    painted = time.perf_counter()
    while watch.ended < start:
        QApplication.processEvents()
    return 1000 * (watch.ended - start), 1000 * (painted - start)


def report(what, values):
    values = np.asarray(values)
    print(f"{what:62s} median {np.nanmedian(values):6.1f} ms   99 % {np.nanpercentile(values, 99):6.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--points", action="store_true", help="a stroke stays a point instead of filling its column")
    args = parser.parse_args()

    import napari
    from qtpy.QtWidgets import QApplication

    from napari_lossguide.data.phantoms import shepp_logan, simulate
    from napari_lossguide.widgets import layers
    from napari_lossguide.widgets.mask_dock import MaskDock

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1280, 720)
    layers.add_kspace(viewer, simulate(shepp_logan(args.size), n_coils=args.coils, noise_std=0.01, name="phantom"))
    dock = MaskDock(viewer)
    viewer.window.add_dock_widget(dock, name="Mask")
    dock.lines.setChecked(not args.points)
    turn(SETTLE)
    update, show = Watch(dock.previews, "show_mask"), Watch(layers, "refill")
    draws = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(
        lambda _: draws.append(time.perf_counter()), position="last"
    )
    layer, columns = dock.layer.layer, np.random.default_rng(0).integers(0, args.size, args.updates)
    layer.brush_size = 1
    found = {name: [] for name in ("total", "stroke", "update", "layers", "canvas")}
    for column in columns:
        update.take(), show.take()
        total, own = stroke(dock, layer, int(column), int(not layer.data[0, column]), update)
        start, drawn = update.ended, float("nan")
        while np.isnan(drawn) and time.perf_counter() < start + LONGEST:
            QApplication.processEvents()
            drawn = next((1000 * (t - start) for t in draws if t > start), drawn)
        napari_part = show.take()
        for name, value in zip(found, (total, own, update.take() - napari_part, napari_part, drawn), strict=True):
            found[name].append(value)
        turn(0.05)
    print(f"{args.size} x {args.size}, {args.coils} coils, {args.updates} strokes")
    report("stroke until both previews have their data", found["total"])
    report("  of it napari's own: painting the stroke", found["stroke"])
    report("  of it computing the two previews", found["update"])
    report("  of it napari's own: refreshing their two layers", found["layers"])
    report("then until the canvas is drawn (here by software, without a GPU)", found["canvas"])
    viewer.close()


if __name__ == "__main__":
    main()
