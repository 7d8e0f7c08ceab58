"""The methods to begin with: our own default, its parent, and posterior draws."""

from __future__ import annotations

from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.recon.method import Method
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.decoupled import DecoupledSampler
from napari_lossguide.samplers.schedules import KarrasSchedule

BEGIN_WITH = (
    Method(
        "prox-mean",
        "Proximal mean (default)",
        "prox-ddim with antithetic noise, averaged estimates and momentum",
        "Measured data enter the estimate by conjugate gradients, weighted by the measured noise; noise comes in pairs "
        "of opposite sign. Comes near the posterior mean: its samples differ too little to show uncertainty.",
        KarrasSchedule,
        DDIMSampler,
        ProximalGuidance,
        defaults={"sampler.average_below": 0.5, "sampler.momentum": 0.9},
    ),
    Method(
        "prox-ddim",
        "Proximal DDIM",
        "Zhu et al. 2023 (DiffPIR); Chung, Lee & Ye 2024 (DDS)",
        "Measured data enter the estimate by conjugate gradients, weighted by the measured noise; then fresh noise.",
        KarrasSchedule,
        DDIMSampler,
        ProximalGuidance,
    ),
    Method(
        "posterior-draw",
        "Posterior draws",
        "The Gibbs-like chain that DAPS (Zhang et al. 2024) and DiffPIR approach",
        "Each level draws the clean image from its Gaussian given estimate and data, and noises it anew. Exact for a "
        "Gaussian prior, spread included: the method for samples and uncertainty.",
        KarrasSchedule,
        DecoupledSampler,
        GaussianDraw,
        defaults={"sampler.flow_steps": 1, "guidance.spread": "posterior", "guidance.tau": 0.0},
    ),
)
