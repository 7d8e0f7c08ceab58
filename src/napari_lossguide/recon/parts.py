"""The parts that a diffusion method is put together from, by name, with what a person is told of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_lossguide.guidance.annealed_likelihood import AnnealedLikelihood
from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.classifier import ClassifierGuidance
from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.null_space import NullSpaceGuidance
from napari_lossguide.guidance.posterior_sampling import PosteriorSampling
from napari_lossguide.guidance.preconditioned import PreconditionedLangevin
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.guidance.pseudoinverse import PseudoinverseGuidance
from napari_lossguide.guidance.replacement import FrequencyReplacement
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.decoupled import DecoupledSampler
from napari_lossguide.samplers.heun import HeunSampler
from napari_lossguide.samplers.langevin import LangevinSampler
from napari_lossguide.samplers.path import Sampler
from napari_lossguide.samplers.predictor_corrector import PredictorCorrectorSampler
from napari_lossguide.samplers.pula import PulaSampler
from napari_lossguide.samplers.red_diff import RedDiffSampler
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, GeometricSchedule, KarrasSchedule, Schedule

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Part(Generic[Kind]):
    """One choice.

    Attributes
    ----------
    name : in a combination, "karras+heun+proximal".
    title, summary : for people.
    kind : the class.
    noise_level : of a guidance: whether the noise level of the data decides their weight.
    """

    name: str
    title: str
    summary: str
    kind: type[Kind]
    noise_level: bool = False


SCHEDULE_PARTS: tuple[Part[Schedule], ...] = (
    Part("karras", "Karras (EDM)", "Few levels that crowd at low noise; the usual choice.", KarrasSchedule),
    Part(
        "geometric", "Geometric", "Each level the same fraction of the last one; wants many levels.", GeometricSchedule
    ),
    Part("cosine", "Cosine DDPM", "The levels of a DDPM, a thousand in the thesis.", CosineDDPMSchedule),
)

SAMPLER_PARTS: tuple[Part[Sampler], ...] = (
    Part("ddim", "DDIM", "Estimate, correct, noise again; an evaluation a level.", DDIMSampler),
    Part("ancestral", "Ancestral (DDPM)", "The reverse chain of a DDPM; an evaluation a level.", AncestralSampler),
    Part(
        "heun",
        "Heun (EDM)",
        "Second-order steps along the probability flow, with fresh noise if asked for; two evaluations a level.",
        HeunSampler,
    ),
    Part(
        "predictor-corrector",
        "Predictor-corrector",
        "A step of the reverse diffusion after Langevin steps at each level.",
        PredictorCorrectorSampler,
    ),
    Part("langevin", "Annealed Langevin", "Several small Langevin steps at every level.", LangevinSampler),
    Part(
        "decoupled",
        "Decoupled annealing",
        "At every level all the way to a clean image, which is then noised anew (DAPS).",
        DecoupledSampler,
    ),
    Part(
        "red-diff",
        "Variational (RED-diff)",
        "An optimiser moves one image, which the denoiser regularises.",
        RedDiffSampler,
    ),
    Part(
        "pula",
        "Preconditioned Langevin (pULA)",
        "Langevin steps that the guidance makes, preconditioned by the data term.",
        PulaSampler,
    ),
)

GUIDANCE_PARTS: tuple[Part[Guidance], ...] = (
    Part(
        "proximal",
        "Proximal",
        "Measured data enter the estimate by conjugate gradients (DDNM, DiffPIR, DDS).",
        ProximalGuidance,
        noise_level=True,
    ),
    Part(
        "null-space",
        "Null space (DDNM+)",
        "Data enter what they measured, as far as their noise allows; the fresh noise is shaped to match.",
        NullSpaceGuidance,
        noise_level=True,
    ),
    Part("loss", "Loss gradient", "A gradient step on the data loss of the estimate or of the state.", LossGuidance),
    Part(
        "thesis",
        "Loss gradient (Peer 2023)",
        "The thesis's gradient step on the noisy image, towards unscaled data.",
        ThesisLossGuidance,
    ),
    Part(
        "replacement",
        "Frequency replacement",
        "Equally noised data replace the measured frequencies of the noisy image, all of them or the low ones.",
        FrequencyReplacement,
    ),
    Part("inpainting", "Inpainting", "Pixels outside a drawn region are known, those inside are filled.", Inpainting),
    Part(
        "classifier",
        "Classifier, then proximal",
        "A stated contrast or plane pulls the estimate; the data have the last word.",
        ClassifierGuidance,
        noise_level=True,
    ),
    Part(
        "likelihood",
        "Annealed likelihood",
        "The residual of the noisy image, weighted by the data's noise and the level's.",
        AnnealedLikelihood,
        noise_level=True,
    ),
    Part(
        "dps",
        "Posterior sampling (DPS)",
        "After the step, down the gradient of the estimate's residual, through the network.",
        PosteriorSampling,
    ),
    Part(
        "pseudoinverse",
        "Pseudoinverse (ΠGDM)",
        "The likelihood that is exact for a Gaussian prior, through the network.",
        PseudoinverseGuidance,
        noise_level=True,
    ),
    Part(
        "draw",
        "Gaussian draw",
        "A clean image is drawn from its exact Gaussian around the estimate and the data.",
        GaussianDraw,
        noise_level=True,
    ),
    Part(
        "preconditioned",
        "Preconditioned by the data",
        "Makes the Langevin step, preconditioned by the data term.",
        PreconditionedLangevin,
        noise_level=True,
    ),
)
