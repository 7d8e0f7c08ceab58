"""How long napari's window does not answer during a reconstruction.

A timer of 5 ms in the main thread notes how late it is called, while the Reconstruct dock runs a 256 x 256, 8-coil
reconstruction through the real worker: once with the live preview and once without, which shows what the preview costs.
Before it the same is noted of napari alone, without a run, so that it shows what the drawing costs on this machine.

    xvfb-run -a python benchmarks/gui_stall.py --steps 20
"""

import argparse
import sys
import time

import numpy as np

INTERVAL = 5  # ms


class Probe:
    """Notes how many milliseconds too late the event loop comes round, and when."""

    def __init__(self):
        from qtpy.QtCore import Qt, QTimer

        self.late, self.at = [], []
        self.last = time.perf_counter()
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.tick)
        self.timer.start(INTERVAL)

    def tick(self):
        now = time.perf_counter()
        self.late.append(max(0.0, (now - self.last) * 1000 - INTERVAL))
        self.at.append(now)
        self.last = now

    def between(self, start, end):
        """(99th percentile, maximum) in ms, and when the maximum was, in s after the start."""
        chosen = [(late, at - start) for late, at in zip(self.late, self.at, strict=True) if start <= at <= end]
        late = np.array([c[0] for c in chosen])
        return np.percentile(late, 99), late.max(), chosen[int(late.argmax())][1]


def turn(seconds=None, until=None):
    """Let the event loop run for some time, or until a signal comes."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    if until is not None:
        until.connect(loop.quit)
    else:
        QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def one_run(dock, preview, steps):
    """Start a run, wait for its end; (start, first step, end, seconds per step)."""
    points = []
    dock.panel.preview.setChecked(preview)
    dock.settings.form.set_value("schedule.steps", steps)
    show = dock.panel.show_points
    dock.panel.show_points = lambda p, c: (points.append((time.perf_counter(), p[-1].step)), show(p, c))
    start = time.perf_counter()
    dock.panel.button.click()
    if dock.running:
        turn(until=dock.done)
    end = time.perf_counter()
    dock.panel.show_points = show
    if not points:
        sys.exit(f"no step was seen: {dock.status.sentence}")
    (first, a), (last, b) = points[0], points[-1]
    return start, first, end, (last - first) / max(b - a, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--threads", type=int, help="of torch; its own choice when absent")
    args = parser.parse_args()

    import napari

    from napari_lossguide.data import samples
    from napari_lossguide.masks import MaskRecipe
    from napari_lossguide.widgets import layers
    from napari_lossguide.widgets.reconstruct_dock import ReconstructDock

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1280, 800)
    kdata = samples.phantom()
    layers.add_kspace(viewer, kdata)
    dock = ReconstructDock(viewer)
    viewer.window.add_dock_widget(dock, name="Reconstruct")
    dock.settings.prior.select(args.prior)
    recipe = MaskRecipe.of("random", acceleration=4.0)
    layers.show_mask(viewer, recipe.make(kdata.image_shape), name="mask", scale=kdata.spacing, recipe=recipe)
    turn(2)
    probe, settled = Probe(), time.perf_counter()
    turn(3)
    report("idle", probe, settled, time.perf_counter())
    for name in ("first", "second"):  # what a click on Run cannot do without
        start = time.perf_counter()
        viewer.add_image(np.zeros(kdata.image_shape, np.float32), name=name, **layers.placed(kdata.spacing, 2))
        turn(1)
        report(f"napari alone: adding an image layer, {name}", probe, start, time.perf_counter())
    shown, start = viewer.layers["second"], time.perf_counter()
    for number in range(15):  # what a preview cannot do without
        shown.data = np.full(kdata.image_shape, number % 2, np.float32)
        turn(0.3)
    report("napari alone: 15 new pictures in that layer", probe, start, time.perf_counter())
    for name in ("first", "second"):
        viewer.layers.remove(name)
    turn(1)
    runs = [("cold, preview on", True)] + 3 * [("warm, preview on", True), ("warm, preview off", False)]
    took: dict[str, list[float]] = {}
    for name, preview in runs:
        start, first, end, step = one_run(dock, preview, args.steps)
        took.setdefault(name, []).append(1000 * step)
        report(f"{name}: until the first step", probe, start, first)
        report(f"{name}: sampling, {1000 * step:.0f} ms a step", probe, first, end)
        if args.threads:
            import torch

            torch.set_num_threads(args.threads)
    on, off = (float(np.median(took[f"warm, preview {word}"])) for word in ("on", "off"))
    print(
        f"the preview costs {100 * (on / off - 1):+.1f} % of a step ({on:.0f} and {off:.0f} ms, medians of three runs)"
    )
    viewer.close()


def report(what, probe, start, end):
    high, worst, when = probe.between(start, end)
    print(f"{what:55s} {end - start:6.1f} s   99 %: {high:6.1f} ms   worst: {worst:6.1f} ms (after {when:.1f} s)")


if __name__ == "__main__":
    main()
