"""What a hundred runs in a row leave behind: threads, layers, memory.

A run of the Reconstruct dock in a real napari, with the packaged prior, a preview and a recording; its result is
removed before the next one. The first ten runs fill caches and are the start of the count.

    xvfb-run -a python benchmarks/hundred_runs.py
"""

import argparse
import gc

import napari
import psutil
from qtpy.QtCore import QEventLoop, QThreadPool

from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.widgets import layers
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.views import role_of

FIRST = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    args = parser.parse_args()
    viewer = napari.Viewer()
    kdata = simulate(shepp_logan(64), noise_std=0.01, name="head")
    layers.add_kspace(viewer, kdata)
    mask = MaskRecipe.of("random", acceleration=3.0)
    layers.show_mask(viewer, mask.make(kdata.image_shape), name="mask", scale=kdata.spacing, recipe=mask)
    dock = ReconstructDock(viewer)
    viewer.window.add_dock_widget(dock, name="Reconstruct")
    dock.settings.form.set_value("schedule.steps", 4)
    start = None
    for run in range(1, args.runs + 1):
        loop = QEventLoop()
        dock.done.connect(loop.quit)
        dock.panel.button.click()
        loop.exec()
        dock.done.disconnect(loop.quit)
        if not dock.status.sentence.startswith("Done"):
            raise SystemExit(f"run {run}: {dock.status.sentence}")
        for layer in [x for x in viewer.layers if role_of(x) == "result"]:
            viewer.layers.remove(layer)
        if run in (FIRST, args.runs) or run % 25 == 0:
            QThreadPool.globalInstance().waitForDone(5000)
            gc.collect()
            now = (psutil.Process().num_threads(), len(viewer.layers), psutil.Process().memory_info().rss / 2**20)
            start = start or now
            print(f"after {run:3d} runs: {now[0]} threads, {now[1]} layers, {now[2]:.0f} MiB", flush=True)
    threads, shown, memory = (a - b for a, b in zip(now, start, strict=True))
    print(f"since run {FIRST}: {threads:+d} threads, {shown:+d} layers, {memory:+.0f} MiB")
    viewer.close()


if __name__ == "__main__":
    main()
