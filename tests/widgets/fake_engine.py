"""A generator that keeps the engine's contract, for tests of what surrounds it."""

import threading
import time

import numpy as np

from napari_lossguide.recon.result import Progress, Result
from napari_lossguide.types import Cancelled


class FakeEngine:
    """Stands for ``start_reconstruction``; counts what happens in it.

    Attributes
    ----------
    steps, wait : length of a run and of a step, in seconds.
    error : raised at step 3, if not None.
    closed : names of the threads that closed the generator.
    used : live values of every step.
    """

    def __init__(self, steps=6, wait=0.01, error=None):
        self.steps, self.wait, self.error = steps, wait, error
        self.closed, self.used, self.calls = [], [], []

    def __call__(self, kdata, recipe, device, live, tape, say):
        self.calls.append((kdata, recipe, device))
        say("Loading PyTorch…")
        return self._walk(kdata, recipe, live, tape)

    def _walk(self, kdata, recipe, live, tape):
        live.declare({"guidance.gamma": (0.0, 1000.0), "sampler.eta": (0.0, 1.0)})
        image = np.zeros((kdata.n_slices, *kdata.image_shape), np.complex64)
        trace, status = [], "done"
        try:
            for step in range(1, self.steps * kdata.n_slices + 1):
                index = (step - 1) // self.steps
                live.checkpoint()
                self.used.append(dict(live.read(step - 1)))
                time.sleep(self.wait)
                if self.error is not None and step == 3:
                    raise self.error
                image[index] = step
                trace.append({"step": step, "slice": index})
                tape.mark(step, index, 10.0 / step, np.abs(image[index]) + 100, np.abs(image[index]))
                yield self._progress(step, index, kdata, image[index].copy())
        except Cancelled:
            status = "cancelled"
        finally:
            self.closed.append(threading.current_thread().name)
        return self._result(kdata, recipe, live, image, trace, status)

    def _progress(self, step, index, kdata, image):
        total = self.steps * kdata.n_slices

        def picture():
            assert threading.current_thread() is not threading.main_thread()
            return np.abs(image).astype(np.float32)

        scalars = step, total, index, kdata.n_slices, 10.0 / step, 5.0 / step, 1.0 / step, step, {}, "fake"
        return Progress(*scalars, picture, picture, ends_slice=step % self.steps == 0)

    def _result(self, kdata, recipe, live, image, trace, status):
        several = recipe.samples > 1
        return Result(
            image=image,
            zero_filled=image * 0,
            mask=kdata.acquired,
            maps=np.ones_like(kdata.kspace),
            samples=np.repeat(image[:, None], recipe.samples, 1) if several else None,
            mean=image if several else None,
            std=np.abs(image) if several else None,
            recipe=recipe.model_copy(update={"changes": live.changes}),
            trace=tuple(trace),
            status=status,
            seconds=1.0,
            nfe=self.steps,
            residual=0.9,
            noise_std=1.0,
            scale=(1.0,),
            provenance={"device": "cpu"},
            simulated=kdata.simulated,
        )
