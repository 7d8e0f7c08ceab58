"""Every method by name: three choices (schedule, sampler, guidance) with its paper's values, or a classical one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from napari_lossguide.guidance.classifier import ClassGuidance, ClassifierGuidance
from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.proximal import ProximalGuidance
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, KarrasSchedule
from napari_lossguide.types import InvalidInput

PARTS = ("schedule", "sampler", "guidance")


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


def first_complaint(error: ValidationError, *prefix: str) -> str:
    """The first thing that is wrong, as one sentence that names it."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # raised by a check of this program: the sentence is complete
        return str(first["ctx"]["error"])
    name = ".".join([*prefix, *(str(part) for part in first["loc"])]) or "recipe"
    return f"{name} = {repr(first['input'])[:60]}: {first['msg'][0].lower()}{first['msg'][1:]}."


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    Attributes
    ----------
    name, title, paper, summary : for people.
    schedule, sampler, guidance : the three choices of a diffusion method; None for a classical one.
    classical : parameters of a classical method, set as ``guidance.*``.
    needs_data : whether it is a reconstruction; else it draws from the prior.
    defaults : values that differ from the parts' own defaults, by full name.
    """

    name: str
    title: str
    paper: str
    summary: str
    schedule: type[KarrasSchedule] | type[CosineDDPMSchedule] | None = None
    sampler: type[DDIMSampler] | type[AncestralSampler] | None = None
    guidance: Any = None
    classical: type[BaseModel] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    needs_data: bool = True

    @property
    def needs_prior(self) -> bool:
        """Whether it uses a denoiser."""
        return self.classical is None

    @property
    def models(self) -> dict[str, type[BaseModel]]:
        """Parameter model of each part it has."""
        if self.classical is not None:
            return {"guidance": self.classical}
        assert self.schedule is not None
        assert self.sampler is not None
        return {"schedule": self.schedule, "sampler": self.sampler.Params, "guidance": self.guidance.Params}

    def params(self) -> dict[str, FieldInfo]:
        """Every parameter by its full name, for forms, help and checks."""
        return {
            f"{part}.{name}": info for part, model in self.models.items() for name, info in model.model_fields.items()
        }

    @property
    def live_knobs(self) -> list[str]:
        """Full names of the parameters that may change during a run."""
        return [
            n
            for n, f in self.params().items()
            if isinstance(f.json_schema_extra, dict) and f.json_schema_extra.get("live")
        ]

    def limits(self, name: str) -> tuple[float, float]:
        """Least and greatest value of a live knob."""
        schema = self.models[name.split(".", maxsplit=1)[0]].model_json_schema()["properties"][name.split(".")[1]]
        low = math.nextafter(schema.get("exclusiveMinimum", -math.inf), math.inf)
        high = math.nextafter(schema.get("exclusiveMaximum", math.inf), -math.inf)
        return schema.get("minimum", low), schema.get("maximum", high)

    def settings(self, changed: Mapping[str, Any] = {}) -> dict[str, dict[str, Any]]:
        """All parameters of the parts, checked, with this method's defaults and then ``changed`` applied.

        Raises
        ------
        InvalidInput
            On an unknown name or a value out of range; the sentence says what is accepted.
        """
        known = self.params()
        for name in changed:
            if name not in known:
                raise InvalidInput(
                    f"'{name}' is not a parameter of the method '{self.name}'; it has {', '.join(known) or 'none'}."
                )
        values = {**self.defaults, **changed}
        checked: dict[str, dict[str, Any]] = {}
        for part, model in self.models.items():
            own = {n.split(".")[1]: v for n, v in values.items() if n.split(".")[0] == part}
            try:
                checked[part] = model(**own).model_dump()
            except ValidationError as error:
                raise InvalidInput(first_complaint(error, part)) from error
        return checked


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

METHODS: dict[str, Method] = {m.name: m for m in (*DIFFUSION, *CLASSICAL)}


def method(name: str) -> Method:
    """Look a method up.

    Raises
    ------
    InvalidInput
        If there is none of that name; the sentence lists them.
    """
    if name not in METHODS:
        raise InvalidInput(f"There is no method '{name}'; choose one of {', '.join(METHODS)}.")
    return METHODS[name]
