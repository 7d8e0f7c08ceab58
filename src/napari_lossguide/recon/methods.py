"""Methods by name: a preset, or a combination of a schedule, a sampler and a guidance."""

from __future__ import annotations

from napari_lossguide.guidance.annealed_likelihood import AnnealedLikelihood
from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.classifier import ClassifierGuidance
from napari_lossguide.guidance.gaussian_draw import GaussianDraw
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.posterior_sampling import PosteriorSampling
from napari_lossguide.guidance.preconditioned import PreconditionedLangevin
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.guidance.pseudoinverse import PseudoinverseGuidance
from napari_lossguide.guidance.replacement import FrequencyReplacement
from napari_lossguide.recon.method import PARTS, Method, first_complaint, why_not
from napari_lossguide.recon.presets import CLASSICAL, DIFFUSION
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
from napari_lossguide.types import InvalidInput

__all__ = [
    "GUIDANCES",
    "METHODS",
    "PARTS",
    "SAMPLERS",
    "SCHEDULES",
    "Method",
    "combination",
    "combinations",
    "first_complaint",
    "method",
    "why_not",
]

METHODS: dict[str, Method] = {m.name: m for m in (*DIFFUSION, *CLASSICAL)}
SCHEDULES: dict[str, type[Schedule]] = {
    "karras": KarrasSchedule,
    "geometric": GeometricSchedule,
    "cosine": CosineDDPMSchedule,
}
SAMPLERS: dict[str, type[Sampler]] = {
    "ddim": DDIMSampler,
    "ancestral": AncestralSampler,
    "heun": HeunSampler,
    "predictor-corrector": PredictorCorrectorSampler,
    "langevin": LangevinSampler,
    "decoupled": DecoupledSampler,
    "red-diff": RedDiffSampler,
    "pula": PulaSampler,
}
GUIDANCES: dict[str, type[Guidance]] = {
    "proximal": ProximalGuidance,
    "loss": LossGuidance,
    "thesis": ThesisLossGuidance,
    "replacement": FrequencyReplacement,
    "inpainting": Inpainting,
    "classifier": ClassifierGuidance,
    "likelihood": AnnealedLikelihood,
    "dps": PosteriorSampling,
    "pseudoinverse": PseudoinverseGuidance,
    "draw": GaussianDraw,
    "preconditioned": PreconditionedLangevin,
}


def method(name: str) -> Method:
    """Look a preset up, or put a combination "schedule+sampler+guidance" together.

    Raises
    ------
    InvalidInput
        If there is none of that name; the sentence lists them. If the parts do not fit; it says why.
    """
    if name in METHODS:
        return METHODS[name]
    if name.count("+") == 2:
        return combination(*name.split("+"))
    raise InvalidInput(
        f"There is no method '{name}'; choose one of {', '.join(METHODS)}, or a combination schedule+sampler+guidance "
        "(karras+heun+proximal)."
    )


def combination(schedule: str, sampler: str, guidance: str) -> Method:
    """The method of three parts, by name.

    Raises
    ------
    InvalidInput
        If there is no such part, or the guidance corrects what the sampler lets nobody correct.
    """
    for part, name, known in (
        ("schedule", schedule, list(SCHEDULES)),
        ("sampler", sampler, list(SAMPLERS)),
        ("guidance", guidance, list(GUIDANCES)),
    ):
        if name not in known:
            raise InvalidInput(f"There is no {part} '{name}'; choose one of {', '.join(known)}.")
    kind = GUIDANCES[guidance]
    reason = why_not(SAMPLERS[sampler], kind, kind.Params())
    if reason:
        raise InvalidInput(f"'{sampler}' and '{guidance}' cannot be combined: {reason}.")
    return Method(
        f"{schedule}+{sampler}+{guidance}",
        f"{schedule} + {sampler} + {guidance}",
        "",
        "A combination of your own.",
        SCHEDULES[schedule],
        SAMPLERS[sampler],
        kind,
        needs_region=kind is Inpainting,
    )


def combinations() -> dict[tuple[str, str], str]:
    """Every pair of a sampler and a guidance, with the reason why it makes no sense, or an empty one."""
    return {(s, g): why_not(SAMPLERS[s], GUIDANCES[g], GUIDANCES[g].Params()) for s in SAMPLERS for g in GUIDANCES}
