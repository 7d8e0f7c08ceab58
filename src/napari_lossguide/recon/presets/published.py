"""The field's published methods, with their papers' values; a value that differs says why."""

from __future__ import annotations

from napari_lossguide.guidance.annealed_likelihood import AnnealedLikelihood
from napari_lossguide.guidance.classifier import ClassGuidance, ClassifierGuidance
from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.guidance.loss_guidance import LossGuidance
from napari_lossguide.guidance.null_space import NullSpaceGuidance
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

PUBLISHED = (
    Method(
        "ddnm",
        "DDNM",
        "Wang, Yu & Zhang 2023, arXiv 2212.00490",
        "Meets the measured data exactly in every step; for data without noise. With the bundled prior η = 1 is better "
        "than the paper's 0.85.",
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
        "ddnm-plus",
        "DDNM+",
        "Wang, Yu & Zhang 2023, arXiv 2212.00490",
        "DDNM for noisy data: they enter as far as their noise allows, and the fresh noise makes room for theirs.",
        KarrasSchedule,
        DDIMSampler,
        NullSpaceGuidance,
        defaults={"sampler.eta": 0.85, "sampler.direction": "network"},
    ),
    Method(
        "diffpir",
        "DiffPIR",
        "Zhu et al. 2023, arXiv 2305.08995",
        "Proximal step with weight sigma²/(lambda sigma_y²), lambda = 7; keeps noise seen from the corrected estimate. "
        "With the bundled prior η = 1 (ζ = 1) is better than the paper's ζ = 0.3.",
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
        "After each ancestral step, down the gradient of the estimate's residual, through the network. With 50 to 100 "
        "levels take ζ = 5: the step is the same at every level, so fewer of them must be longer.",
        CosineDDPMSchedule,
        AncestralSampler,
        PosteriorSampling,
        defaults={"sampler.variance": "posterior", "guidance.zeta": 1.0},
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
        "Every level solves the flow to a clean image, draws from the data's exact Gaussian, and noises it anew. The "
        "draw is narrower than the paper's formula: one good image, no map of uncertainty.",
        KarrasSchedule,
        DecoupledSampler,
        GaussianDraw,
        # The formula's r = sigma (width 1) ends 5 dB lower: the network is told less noise than there is.
        defaults={"schedule.sigma_max": 10.0, "sampler.flow_steps": 2, "guidance.width": 0.3},
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
