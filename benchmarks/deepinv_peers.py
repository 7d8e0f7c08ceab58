"""Guided samplers against those of deepinv: one network, one forward model, the same data and evaluations.

    OMP_NUM_THREADS=1 python benchmarks/deepinv_peers.py --data FOLDER [--steps 50] [--cache runs/deepinv_peers.json]

deepinv is no dependency of the project. ``pip install --no-deps deepinv==0.5.0``, then ``pip install natsort h5py
requests`` and whatever else it misses; torchvision, torchmetrics and matplotlib, which it imports but the samplers do
not use, are replaced by empty modules where they are not installed, so that no second build of torch is downloaded.

Two slices of each validation file at 128 x 128 (see ``simulated_lines``), real, one coil, no noise, one mask seed.
Each method runs with its published values and with the best of a small grid, chosen on a slice of another patient at
5.6-fold and 50 evaluations. deepinv's PiGDM has no published path; it gets that of its DPS. What they share, and how:

* The network: ``Shared`` shows deepinv our D(x; sigma) in its units, images in [0, 1]; 1 is RANGE times our unit, so
  that deepinv clips next to nothing. Its VP states in [-1, 1] and their sigmas are its own business.
* The forward model: ``shared_physics`` is ours for real images, Re F^H M F, in its singular vectors. Those are the
  Hartley functions, with singular values 0, sqrt(1/2) (one of k and -k was measured) and 1. The data are rotated by U,
  which leaves every norm of a residual as it is, and deepinv solves in closed form.

Seconds are of this process's CPU, one thread, so that other work on the machine counts little.
"""

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from simulated_lines import FILES, MASKS, METRICS, half_size
from torch import Tensor

from napari_lossguide.data.fourier import mirrored
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.priors.load import load_prior
from napari_lossguide.recon.drive import last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.problem import make_problem
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.samplers.schedules import KarrasSchedule
from napari_lossguide.types import Denoiser, Problem

RANGE = 1.6
"""deepinv's 1 in our units, in which the brightest pixel of a slice is at 1.0 to 1.6."""
SLICES = {"T1w/T2w/FLAIR": (1, 9), "T1c": (5, 15)}
TUNING = "T1w/T2w/FLAIR", 17, 5.6
Values = dict[str, Any]


class Nothing(type):
    """A class whose every attribute is another such class: for default arguments and base classes."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(name, (), {})


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports empty modules in the place of those that are not installed."""

    roots = tuple(n for n in ("torchvision", "torchmetrics", "matplotlib") if importlib.util.find_spec(n) is None)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """A package of any name below the roots."""
        if name.partition(".")[0] in self.roots:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let every name be found."""
        module.__getattr__ = lambda name: getattr(Nothing("Nothing", (), {}), name)  # type: ignore[method-assign]


sys.meta_path.append(EmptyModules())
import deepinv as dinv  # noqa: E402


class Counted:
    """Our denoiser, with its evaluations counted."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.info, self.count = denoiser, denoiser.info, 0

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """D(x; sigma)."""
        self.count += 1
        return self.denoiser(x, sigma)


class Shared(dinv.models.Denoiser):
    """The same in deepinv's interface: (B, 1, ny, nx) with values in [0, 1], sigma in those units."""

    def __init__(self, denoiser: Counted) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, sigma: Any, **_: Any) -> Tensor:
        """Denoise."""
        level = RANGE * float(torch.as_tensor(sigma).flatten()[0])
        return self.denoiser(RANGE * x[:, 0], level)[:, None] / RANGE


def hartley(x: Tensor) -> Tensor:
    """Orthonormal Hartley transform, centred; its own inverse and adjoint."""
    k = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
    return k.real - k.imag


def shared_physics(problem: Problem, acquired: np.ndarray) -> tuple[Tensor, Any]:
    """Data (1, 1, ny, nx) in deepinv's units, and A = diag(s) H; the noise is left to each method."""
    both = (acquired.astype(np.float32) + mirrored(acquired).astype(np.float32)) / 2
    s = torch.from_numpy(np.sqrt(both))[None, None]
    physics = dinv.physics.DecomposablePhysics(
        U=lambda x: x, U_adjoint=lambda x: x, V=hartley, V_adjoint=hartley, mask=s, img_size=(1, *acquired.shape)
    )
    y = hartley(problem.A.adjoint(problem.y).real)[None] / s.clamp(min=0.5) / RANGE
    x = torch.randn(1, 1, *acquired.shape)
    assert torch.allclose(physics.A_adjoint_A(x)[0], problem.A.normal(x[0]), atol=1e-5), "not the same forward model"
    return y, physics


def with_noise(physics: Any, sigma: float) -> Any:
    """The physics that says that its data have this noise, per real channel."""
    physics.noise_model = dinv.physics.GaussianNoise(sigma=sigma)
    return physics


def dps(net: Any, y: Tensor, physics: Any, steps: int, **values: Any) -> Tensor:
    """deepinv's DPS."""
    return dinv.sampling.DPS(net, num_steps=steps + 1, rng=torch.Generator(), **values)(y, physics, seed=0)


def diffpir(net: Any, y: Tensor, physics: Any, steps: int, **values: Any) -> Tensor:
    """deepinv's DiffPIR; its own sigma of the data, since the physics names none."""
    return dinv.sampling.DiffPIR(net, dinv.optim.L2(), max_iter=steps, **values)(y, physics)


def ddrm(net: Any, y: Tensor, physics: Any, steps: int, path: str = "even", **values: Any) -> Tensor:
    """deepinv's DDRM, also on a path that is not its default: as crowded at low noise as ours."""
    sigmas = np.linspace(1, 0, steps)
    if path == "karras":
        sigmas = np.array(KarrasSchedule(steps=steps - 1, sigma_max=1.0, sigma_min=0.005).levels())
    return dinv.sampling.DDRM(net, sigmas=sigmas, **values)(y, with_noise(physics, 0.01))


def posterior(
    net: Any, y: Tensor, physics: Any, steps: int, term: str, path: str = "vp", alpha: float = 1.0, **values: Any
) -> Tensor:
    """deepinv's PosteriorDiffusion with a data term by name, on the path of its DPS or one as crowded as ours."""
    noise = values.pop("noise", 0.01)
    times, sde = torch.linspace(1, 0, steps + 1), dinv.sampling.VariancePreservingDiffusion(alpha=alpha)
    if path == "karras":  # sigma in units of states in [-1, 1]
        times = torch.tensor(KarrasSchedule(steps=steps, sigma_max=2.0, sigma_min=0.01).levels())
        sde = dinv.sampling.EDMDiffusionSDE(sigma_t=lambda t: t, variance_exploding=True, alpha=alpha)
    solver = dinv.sampling.AncestralSolver(timesteps=times.double(), rng=torch.Generator())
    fidelity = getattr(dinv.sampling, term + "DataFidelity")(**values)
    return dinv.sampling.PosteriorDiffusion(fidelity, net, sde, solver)(y, with_noise(physics, noise), seed=0)


@dataclass(frozen=True)
class Entry:
    """A method on one side.

    Attributes
    ----------
    method : name in the table; the same of both sides' versions.
    run : name of our method, or one of the functions above.
    defaults : what makes it the published one.
    grid : changes to try.
    """

    method: str
    run: str | Callable[..., Tensor]
    defaults: Values = field(default_factory=dict)
    grid: Sequence[Values] = ()

    @property
    def side(self) -> str:
        """Whose it is."""
        return "ours" if isinstance(self.run, str) else "deepinv"


DPS_GRID = [*({"weight": w} for w in (10, 30)), *({"guidance": "annealed", "weight": w} for w in (1, 3, 10, 30))]
OUR_PIGDM_GRID = [{"sampler.eta": e, "schedule.sigma_max": 2.0} for e in (0.2, 0.8, 1.0)]
PIGDM_GRID = [{"noise": 0.001}, {"path": "karras"}, {"noise": 0.001, "path": "karras", "alpha": 40}]
ENTRIES = (
    Entry("DPS", "dps", {"guidance.zeta": 1.0}, [{"guidance.zeta": z} for z in (3.0, 5.0, 10.0)]),
    Entry("DPS", dps, grid=DPS_GRID),
    Entry("DiffPIR", "diffpir", grid=[{"sampler.eta": e} for e in (0.8, 0.95, 1.0)]),
    Entry("DiffPIR", diffpir, grid=[{"zeta": z, "sigma": s} for z in (0.1, 0.3, 0.6, 1.0) for s in (0.05, 0.001)]),
    Entry("DDNM, DDRM", "ddnm", grid=[{"sampler.eta": e} for e in (0.95, 1.0)]),
    Entry("DDNM, DDRM", ddrm, grid=[{"eta": 1.0}, {"path": "karras"}, {"path": "karras", "eta": 1.0}]),
    Entry("PiGDM", "pigdm", {"sampler.eta": 0.2, "schedule.sigma_max": 10.0}, OUR_PIGDM_GRID),
    Entry("PiGDM", posterior, {"term": "PiGDM"}, PIGDM_GRID),
    *(Entry(term, posterior, {"term": term}) for term in ("ALD", "ScoreSDE", "ILVR", "MomentMatching")),
    *(Entry(name, name) for name in ("prox-mean", "prox-ddim", "daps")),
)


class Bench:
    """Runs entries on slices and remembers their metrics."""

    def __init__(self, data: Path, cache: Path, prior: str) -> None:
        self.cache, self.denoiser = cache, Counted(load_prior(prior))
        self.images: dict[str, np.ndarray] = {}
        for file, name in FILES.items():
            with np.load(data / name) as held:
                self.images[file] = half_size(held["images"])
        self.known: dict[str, Values] = json.loads(cache.read_text()) if cache.exists() else {}

    def run(self, entry: Entry, changes: Values, steps: int, file: str, index: int, acceleration: float) -> Values:
        """Metrics of one reconstruction."""
        values = {**entry.defaults, **changes}
        name = entry.run if isinstance(entry.run, str) else f"deepinv.{entry.run.__name__}"
        key = json.dumps([self.denoiser.info.sha256, file, index, acceleration, name, steps, values])
        if key not in self.known:
            factor, center = MASKS[acceleration]
            mask = MaskRecipe.of("thesis", acceleration=factor, center_fraction=center, seed=0)
            reference = self.images[file][index : index + 1]
            kdata = simulate(reference, n_coils=1, noise_std=0.0).undersample(mask.make(reference.shape[1:]))
            before = self.denoiser.count
            side = self.ours if isinstance(entry.run, str) else self.theirs
            image, seconds = side(kdata, entry.run, steps, values)
            self.known[key] = {n: float(f(reference, np.abs(image))) for n, f in METRICS.items()}
            self.known[key] |= {"seconds": seconds, "evaluations": self.denoiser.count - before}
            part = self.cache.with_suffix(".part")
            part.write_text(json.dumps(self.known))
            os.replace(part, self.cache)
        return self.known[key]

    def ours(self, kdata: KData, method: str, steps: int, values: Values) -> tuple[np.ndarray, float]:
        """An image of ours, and its CPU seconds, the whole engine's."""
        start = time.process_time()
        steps //= 2 if method == "daps" else 1  # which evaluates the network twice at each level
        recipe = Recipe.for_method(method, steps=steps, settings=values)
        image = last_of(reconstruction(kdata, recipe, device="cpu", denoiser=self.denoiser)).image
        return image, time.process_time() - start

    def theirs(self, kdata: KData, run: Callable[..., Tensor], steps: int, values: Values) -> tuple[np.ndarray, float]:
        """An image of deepinv's, and its CPU seconds, from the data in its units on."""
        maps = np.ones_like(kdata.kspace[0])
        problem = make_problem(kdata, 0, maps, real=True, noise_std=None, device=torch.device("cpu"))
        y, physics = shared_physics(problem, kdata.acquired)
        torch.manual_seed(1)
        start = time.process_time()
        x = run(Shared(self.denoiser), y, physics, steps, **values).detach()
        return x[0].float().numpy() * RANGE * problem.scale, time.process_time() - start

    def tuned(self, entry: Entry) -> Values:
        """The best change at 50 evaluations of the slice that is kept for it; none if the defaults are best."""
        return max(({}, *entry.grid), key=lambda changes: self.run(entry, changes, 50, *TUNING)["psnr"])

    def row(self, entry: Entry, changes: Values, steps: int, acceleration: float, slices: int) -> str:
        """A line of the table, of the mean over so many slices of each file."""
        places = [(file, index) for file, indices in SLICES.items() for index in indices[:slices]]
        rows = [self.run(entry, changes, steps, *place, acceleration) for place in places]
        m = {name: np.mean([r[name] for r in rows]) for name in rows[0]}
        words = ", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in {**entry.defaults, **changes}.items())
        return (
            f"| {acceleration} | {entry.method} | {entry.side} | {words or 'defaults'} | {m['evaluations']:.0f} "
            f"| {m['psnr']:.2f} | {m['ssim']:.3f} | {m['nmse']:.4f} | {m['seconds']:.1f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", default="brain")
    parser.add_argument("--steps", type=int, default=50, help="network evaluations of each reconstruction")
    pairs = list(dict.fromkeys(e.method for e in ENTRIES if e.grid))
    parser.add_argument("--methods", nargs="+", choices={e.method for e in ENTRIES}, default=pairs)
    parser.add_argument("--slices", type=int, choices=(1, 2), default=2, help="of each file")
    parser.add_argument("--cache", type=Path, default=Path("runs/deepinv_peers.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.data, args.cache, args.prior)
    print("| acceleration | method | implementation | parameters | evaluations | PSNR dB | SSIM | NMSE | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|")
    tuned = [(e, bench.tuned(e)) for e in ENTRIES if e.method in args.methods]
    for acceleration in MASKS:
        for entry, best in tuned:
            for changes in ({}, best) if best else ({},):
                print(bench.row(entry, changes, args.steps, acceleration, args.slices), flush=True)


if __name__ == "__main__":
    main()
