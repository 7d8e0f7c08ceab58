"""Classifier guidance: the gradient of log p(c | x, sigma) pulls the estimate towards what the image is known to be.

Dhariwal & Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", arXiv 2105.05233, section 4. With Bayes' rule
for the score and Tweedie's formula, D = x + sigma^2 score,

    E[x0 | x, c] = D(x; sigma) + sigma^2 grad_x log p(c | x, sigma),

times a scale s on the second term, which raises p(c | x) to the power s. The contrast and the plane are taken to be
independent given the image: their log-probabilities add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.proximal import ProximalGuidance, ProximalParams
from napari_lossguide.priors.classifier.classifier import load_classifier

if TYPE_CHECKING:
    from torch import Tensor

    from napari_lossguide.types import Classifier, Noise, Problem


class ClassParams(BaseModel):
    """What the image is known to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    contrast: Literal["any", "T1w", "T2w", "FLAIR", "T1c"] = Field(
        "any",
        title="Contrast",
        description="What the image is known to be: T1-weighted, T2-weighted, FLAIR or T1-weighted after contrast "
        "agent. 'any' leaves it to the prior.",
        json_schema_extra={"front": True},
    )
    plane: Literal["any", "axial", "coronal", "sagittal"] = Field(
        "any",
        title="Plane",
        description="Plane of the anatomy that the image is known to show, however it is turned. "
        "'any' leaves it to the prior.",
        json_schema_extra={"front": True},
    )
    scale: float = Field(
        3.0,  # of 1, 3 and 10 the one that was better on most slices (benchmarks/stated_contrast.py)
        ge=0,
        le=100,
        title="Class guidance s",
        description="How strongly contrast and plane are imposed, no unit: 0 not at all, 1 as the classifier's "
        "probabilities say, more exaggerates. Without effect while both are 'any'.",
        json_schema_extra={"live": True, "scale": "linear", "slider": [0.0, 10.0]},
    )
    classifier: str = Field(
        "brain", title="Classifier", description="Name of a bundled classifier or path of a .safetensors file."
    )

    def known(self) -> dict[str, str]:
        """The answers that are given, by question."""
        return {q: a for q, a in (("contrast", self.contrast), ("plane", self.plane)) if a != "any"}


class ClassifierParams(ProximalParams, ClassParams):
    """Knobs of classifier guidance with data."""


class ClassGuidance(Guidance):
    """Classifier guidance alone: what is measured plays no part.

    Parameters
    ----------
    problem, sigma_data, noise : see ``Guidance``.
    classifier : in the place of the one that the parameters name.
    """

    Params = ClassParams
    corrects = frozenset({"estimate"})

    def __init__(
        self, problem: Problem, sigma_data: float, noise: Noise | None = None, classifier: Classifier | None = None
    ) -> None:
        super().__init__(problem, sigma_data, noise)
        self.classifier = classifier

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: ClassParams) -> Tensor:
        """D + s sigma^2 grad_x log p(c | x, sigma); D itself where nothing is known."""
        known = params.known()
        if not known or params.scale == 0:
            return d
        if self.classifier is None:
            self.classifier = load_classifier(params.classifier, str(x.device))
        return d + params.scale * sigma**2 * log_probability_gradient(self.classifier, x, sigma, known)


class ClassifierGuidance(ClassGuidance):
    """Classifier guidance, then the proximal step: the data have the last word."""

    Params = ClassifierParams

    def __init__(
        self, problem: Problem, sigma_data: float, noise: Noise | None = None, classifier: Classifier | None = None
    ) -> None:
        super().__init__(problem, sigma_data, noise, classifier)
        self.proximal = ProximalGuidance(problem, sigma_data)

    def correct_estimate(self, d: Tensor, x: Tensor, sigma: float, params: ClassParams) -> Tensor:
        """The proximal step from the guided estimate."""
        assert isinstance(params, ClassifierParams)
        return self.proximal.correct_estimate(super().correct_estimate(d, x, sigma, params), x, sigma, params)


def log_probability_gradient(classifier: Classifier, x: Tensor, sigma: float, known: dict[str, str]) -> Tensor:
    """grad_x of sum over questions of log p(answer | x, sigma), of each image by itself.

    Parameters
    ----------
    classifier : log-probabilities of each question.
    x : (B, ny, nx), real or complex; the gradient of a complex image is d/dRe + i d/dIm.
    sigma : noise level.
    known : answers by question.
    """
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        log_p = classifier(x, sigma)
        picked = [log_p[q][:, classifier.classes[q].index(answer)] for q, answer in known.items()]
        # Images do not mix in the classifier, so the gradient of the sum is that of each image.
        (gradient,) = torch.autograd.grad(torch.stack(picked).sum(), x)
    return gradient
