"""Posterior samples of unseen patients' slices for ``benchmarks/uncertainty.py``, kept as they are drawn.

Slices of ``validation_brain_t1_t2_flair_256.npz`` at 128 x 128, real, one coil, no noise, the thesis's masks. A chunk
of eight samples of one slice is one file in the cache, drawn with the chunk's number as the seed: a run that was
stopped goes on, and more samples are drawn beside the old ones.
"""

import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
from simulated_lines import FILES, MASKS, half_size

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.load import find_prior, prior_info
from napari_lossguide.recon.engine import reconstruct
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe

CHUNK = 8
SETTINGS = {"karras+ancestral+proximal": {"sampler.variance": "posterior"}}
"""What differs from a method's defaults."""


class Draws:
    """Draws samples and remembers them.

    Parameters
    ----------
    data : folder of the validation file.
    cache : folder of what was drawn.
    prior : name or path.
    """

    def __init__(self, data: Path, cache: Path, prior: str) -> None:
        with np.load(data / FILES["T1w/T2w/FLAIR"]) as held:
            self.images = half_size(held["images"])
            self.patients, self.contrasts = held["patient"], held["contrast"]
        self.kdata = simulate(self.images, n_coils=1, noise_std=0.0)
        self.cache, self.prior = cache, prior
        self.sha256 = prior_info(find_prior(prior), checksum=True).sha256
        cache.mkdir(parents=True, exist_ok=True)

    def recipe(self, name: str, evaluations: int, acceleration: float, samples: int, seed: int = 0) -> Recipe:
        """The recipe of so many network evaluations a sample."""
        factor, center = MASKS[acceleration]
        settings = SETTINGS.get(name, {})
        one = method(name).evaluations(method(name).settings({"schedule.steps": 100, **settings})) / 100
        return Recipe.for_method(
            name,
            steps=max(1, int(evaluations / one)),
            settings=settings,
            mask=MaskRecipe.of("thesis", acceleration=factor, center_fraction=center, seed=0),
            samples=samples,
            seed=seed,
            prior=self.prior,
            prior_sha256=self.sha256,
        )

    def samples(self, index: int, name: str, evaluations: int, acceleration: float, count: int) -> np.ndarray:
        """So many samples (P, ny, nx) of one slice."""
        chunks = range(-(-count // CHUNK))
        drawn = [self._chunk(index, self.recipe(name, evaluations, acceleration, CHUNK, seed)) for seed in chunks]
        return np.concatenate(drawn)[:count]

    def _chunk(self, index: int, recipe: Recipe) -> np.ndarray:
        facts = recipe.model_dump(mode="json", include={"method", "schedule", "sampler", "guidance", "mask", "seed"})
        key = json.dumps([self.sha256, index, facts], sort_keys=True)
        path = self.cache / f"{sha256(key.encode()).hexdigest()[:16]}.npy"
        if not path.exists():
            result = reconstruct(self.kdata.select(index), recipe=recipe)
            assert result.samples is not None
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                np.save(file, result.samples[0].real.astype(np.float32))
            os.replace(part, path)
        return np.asarray(np.load(path))
