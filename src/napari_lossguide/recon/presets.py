"""Every named method: three choices with its paper's values, or a classical one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.annealed_likelihood import AnnealedLikelihood
from napari_lossguide.guidance.classifier import ClassGuidance, ClassifierGuidance
from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.posterior_sampling import PosteriorSampling
from napari_lossguide.guidance.preconditioned import PreconditionedLangevin
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.guidance.pseudoinverse import PseudoinverseGuidance
from napari_lossguide.guidance.replacement import FrequencyReplacement
from napari_lossguide.recon.method import Method
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.decoupled import DecoupledSampler
from napari_lossguide.samplers.langevin import LangevinSampler
from napari_lossguide.samplers.predictor_corrector import PredictorCorrectorSampler
from napari_lossguide.samplers.pula import PulaSampler
from napari_lossguide.samplers.red_diff import RedDiffSampler
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, GeometricSchedule, KarrasSchedule


class ZeroFilledParams(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CGSenseParams(BaseModel):
    """Knobs of CG-SENSE."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    regularization: float = Field(
        0.01,
        ge=0,
        le=10,
        title="Regularization λ",
        description="Weight of |x|², relative to data of unit scale: larger is smoother and darker.",
    )
    iterations: int = Field(
        30, ge=1, le=1000, title="Iterations", description="Conjugate-gradient iterations, at most."
    )


class SparseParams(BaseModel):
    """Knobs of the compressed-sensing reconstructions."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    regularization: float = Field(
        0.005,
        gt=0,
        le=10,
        title="Regularization λ",
        description="Weight of the sparsity term, relative to data of unit scale: larger is smoother.",
    )
    iterations: int = Field(200, ge=1, le=5000, title="Iterations", description="Iterations of the convex solver.")


DIFFUSION = (
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
    Method(
        "ddnm",
        "DDNM",
        "Wang, Yu & Zhang 2023, arXiv 2212.00490",
        "Meets the measured data exactly in every step; for data without noise.",
        KarrasSchedule,
        DDIMSampler,
        ProximalGuidance,
        defaults={
            "guidance.weight": "hard",
            "guidance.iterations": 30,
            "sampler.eta": 0.85,
            "sampler.direction": "network",
        },
    ),
    Method(
        "diffpir",
        "DiffPIR",
        "Zhu et al. 2023, arXiv 2305.08995",
        "Proximal step with weight sigma²/(lambda sigma_y²), lambda = 7; keeps noise seen from the corrected estimate.",
        KarrasSchedule,
        DDIMSampler,
        ProximalGuidance,
        # lambda = 1/gamma and zeta = eta^2 of the paper's eq. 15
        defaults={
            "guidance.weight": "noise",
            "guidance.gamma": 1 / 7,
            "sampler.eta": 0.3**0.5,
            "sampler.direction": "estimate",
        },
    ),
    Method(
        "dds",
        "DDS",
        "Chung, Lee & Ye 2024, arXiv 2303.05754",
        "Five CG iterations with a constant weight from the denoised image; the kept noise is the network's.",
        KarrasSchedule,
        DDIMSampler,
        ProximalGuidance,
        defaults={
            "guidance.weight": "constant",
            "guidance.iterations": 5,
            "sampler.eta": 0.85,
            "sampler.direction": "network",
        },
    ),
    Method(
        "loss-guidance",
        "Loss guidance",
        "Peer 2023 (ETH thesis), mended",
        "Gradient steps on the data loss; one target at every noise level, whatever the batch.",
        KarrasSchedule,
        DDIMSampler,
        LossGuidance,
        defaults={"guidance.strength": 1.5},
    ),
    Method(
        "loss-guidance-thesis",
        "Loss guidance (Peer 2023)",
        "Peer 2023 (ETH thesis), direct sampling",
        "The thesis's update, exactly: gradient steps on the DDPM state towards unscaled data, 999 ancestral steps.",
        CosineDDPMSchedule,
        AncestralSampler,
        ThesisLossGuidance,
    ),
    Method(
        "slow-down",
        "Slowed-down sampling (Peer 2023)",
        "Peer 2023 (ETH thesis), slowed-down sampling",
        "Loss guidance with twice as many noise levels, so that the data are heard twice as often.",
        CosineDDPMSchedule,
        AncestralSampler,
        ThesisLossGuidance,
        defaults={"schedule.steps": 1999},
    ),
    Method(
        "long-grained",
        "Long-grained resampling (Peer 2023)",
        "Peer 2023 (ETH thesis), long-grained resampling",
        "Loss guidance that starts again from ever lower noise levels. As the thesis's code does, the state of a "
        "restart is the image itself, without noise; 're-noise' adds it.",
        CosineDDPMSchedule,
        AncestralSampler,
        ThesisLossGuidance,
        defaults={"schedule.resample": "long", "schedule.jump": 0.2, "schedule.renoise": False},
    ),
    Method(
        "short-grained",
        "Short-grained resampling (Peer 2023)",
        "Peer 2023 (ETH thesis), after Lugmayr et al. 2022 (RePaint)",
        "Loss guidance that jumps back a tenth of the levels all along the way.",
        CosineDDPMSchedule,
        AncestralSampler,
        ThesisLossGuidance,
        defaults={"schedule.resample": "short", "schedule.jump": 0.1},
    ),
    Method(
        "frequency-replacement",
        "Frequency replacement (Peer 2023)",
        "Peer 2023 (ETH thesis), frequency replacement",
        "The measured lines of the noisy image are replaced by equally noised data at every level.",
        CosineDDPMSchedule,
        AncestralSampler,
        FrequencyReplacement,
    ),
    Method(
        "gaussian-filter",
        "Scheduled Gaussian filter (Peer 2023)",
        "Peer 2023 (ETH thesis), scheduled Gaussian filter",
        "Frequency replacement through a low-pass filter that widens as the noise falls.",
        CosineDDPMSchedule,
        AncestralSampler,
        FrequencyReplacement,
        defaults={"guidance.filter": "gaussian"},
    ),
    Method(
        "ilvr",
        "Low-frequency guidance (ILVR)",
        "Choi et al. 2021, arXiv 2108.02938",
        "Only the low measured frequencies are replaced: the rest is the prior's. Shows what the centre of k-space "
        "says.",
        CosineDDPMSchedule,
        AncestralSampler,
        FrequencyReplacement,
        defaults={"guidance.filter": "box", "guidance.width": 0.125},
    ),
    Method(
        "repaint",
        "Inpainting (RePaint)",
        "Lugmayr et al. 2022, arXiv 2201.09865",
        "Fills a drawn region of the image; 250 levels, jumps of 10, each made ten times.",
        CosineDDPMSchedule,
        AncestralSampler,
        Inpainting,
        defaults={
            "schedule.steps": 249,
            "schedule.resample": "short",
            "schedule.jump": 0.04,
            "schedule.repeats": 9,
            "sampler.variance": "posterior",
        },
        needs_region=True,
    ),
    Method(
        "song2021",
        "Song 2021",
        "Song, Shen, Xing & Ermon 2022, arXiv 2111.08005",
        "Predictor-corrector sampling of 1000 levels; noised data replace the measured lines before each.",
        GeometricSchedule,
        PredictorCorrectorSampler,
        FrequencyReplacement,
        # The paper's path starts at 128 or 378; this prior knows noise up to 10, in which nothing of an image is left.
        defaults={"schedule.steps": 1000, "schedule.sigma_max": 10.0, "sampler.snr": 0.517},
    ),
    Method(
        "score-mri",
        "Score-MRI",
        "Chung & Ye 2022, arXiv 2110.05243",
        "Predictor-corrector sampling of 2000 levels; the measured lines themselves replace those of the state.",
        GeometricSchedule,
        PredictorCorrectorSampler,
        FrequencyReplacement,
        defaults={"schedule.steps": 2000, "schedule.sigma_max": 10.0, "guidance.noise": "none"},
    ),
    Method(
        "annealed-langevin",
        "Annealed Langevin",
        "Jalal et al. 2021, arXiv 2108.01368",
        "Three small Langevin steps at each of 1155 levels; the data are weighted by their noise and the level's.",
        GeometricSchedule,
        LangevinSampler,
        AnnealedLikelihood,
        defaults={"schedule.steps": 1155, "schedule.sigma_max": 10.0},
    ),
    Method(
        "dps",
        "DPS",
        "Chung et al. 2023, arXiv 2209.14687",
        "After each ancestral step, down the gradient of the estimate's residual, through the network.",
        CosineDDPMSchedule,
        AncestralSampler,
        PosteriorSampling,
        defaults={"sampler.variance": "posterior"},
    ),
    Method(
        "pigdm",
        "ΠGDM",
        "Song, Vahdat, Mardani & Kautz 2023, ICLR",
        "The data's pull on the estimate, through the network's Jacobian, moves the state after each step.",
        KarrasSchedule,
        DDIMSampler,
        PseudoinverseGuidance,
        defaults={
            # The paper's eta is 0.2; with this prior 1 is 2 dB better, and a path from 10 ends unstable.
            "sampler.eta": 1.0,
        },
    ),
    Method(
        "daps",
        "DAPS",
        "Zhang et al. 2024, arXiv 2407.01521",
        "Every level solves the flow to a clean image, draws from the data's exact Gaussian, and noises it anew.",
        KarrasSchedule,
        DecoupledSampler,
        GaussianDraw,
        defaults={"schedule.sigma_max": 10.0, "sampler.flow_steps": 2},
    ),
    Method(
        "red-diff",
        "RED-diff",
        "Mardani et al. 2023, arXiv 2305.04391",
        "Adam moves one image towards the data and down the denoiser's error at ever lower noise.",
        KarrasSchedule,
        RedDiffSampler,
        LossGuidance,
        defaults={"schedule.steps": 100, "schedule.sigma_max": 10.0, "guidance.strength": 1.0},
    ),
    Method(
        "pula",
        "pULA",
        "arXiv 2512.05791 (BART's sample)",
        "Langevin steps preconditioned by the data term, one at each of 100 levels.",
        KarrasSchedule,
        PulaSampler,
        PreconditionedLangevin,
        defaults={"schedule.steps": 100, "schedule.sigma_max": 10.0},
    ),
    Method(
        "classifier",
        "Classifier guidance",
        "Dhariwal & Nichol 2021, arXiv 2105.05233",
        "Proximal DDIM, told the image's contrast or plane: a classifier pulls the estimate towards it.",
        KarrasSchedule,
        DDIMSampler,
        ClassifierGuidance,
    ),
    Method(
        "unconditional",
        "Prior only (no data)",
        "Ho, Jain & Abbeel 2020; Dhariwal & Nichol 2021",
        "Draws from the prior, or of it the images of one contrast or plane, and ignores the data.",
        KarrasSchedule,
        AncestralSampler,
        ClassGuidance,
        # Nothing else says how bright the image is: the start must drown it. With fresh noise in every step (eta = 1)
        # samples without data shrink to their mean; the posterior variance is that of the reverse process.
        defaults={
            "schedule.steps": 100,
            "schedule.sigma_max": 10.0,
            "schedule.sigma_min": 0.02,
            "sampler.variance": "posterior",
        },
        needs_data=False,
    ),
)

CLASSICAL = (
    Method(
        "zero-filled",
        "Zero-filled",
        "",
        "A^H y: the inverse transform of what was measured, coils combined.",
        classical=ZeroFilledParams,
    ),
    Method(
        "cg-sense",
        "CG-SENSE",
        "Pruessmann et al. 2001, Magn Reson Med 46:638",
        "Least squares with a little Tikhonov regularisation.",
        classical=CGSenseParams,
    ),
    Method(
        "l1-wavelet",
        "L1-wavelet",
        "Lustig, Donoho & Pauly 2007, Magn Reson Med 58:1182; SigPy",
        "Compressed sensing: sparse in a wavelet transform.",
        classical=SparseParams,
    ),
    Method(
        "tv",
        "Total variation",
        "Block, Uecker & Frahm 2007, Magn Reson Med 57:1086; SigPy",
        "Compressed sensing: sparse in finite differences.",
        classical=SparseParams,
    ),
)
