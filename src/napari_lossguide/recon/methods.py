"""Methods by name: a preset, or a combination of a schedule, a sampler and a guidance."""

from __future__ import annotations

from napari_lossguide.guidance.base import Guidance
from napari_lossguide.guidance.inpainting import Inpainting
from napari_lossguide.recon.method import PARTS, Method, first_complaint, why_not
from napari_lossguide.recon.parts import GUIDANCE_PARTS, SAMPLER_PARTS, SCHEDULE_PARTS
from napari_lossguide.recon.presets import GROUPS
from napari_lossguide.samplers.path import Sampler
from napari_lossguide.samplers.schedules import Schedule
from napari_lossguide.types import InvalidInput

__all__ = [
    "GROUPS",
    "GUIDANCES",
    "METHODS",
    "OF_YOUR_OWN",
    "PARTS",
    "SAMPLERS",
    "SCHEDULES",
    "Method",
    "combination",
    "combinations",
    "first_complaint",
    "group",
    "here",
    "method",
    "why_not",
]

METHODS: dict[str, Method] = {m.name: m for presets in GROUPS.values() for m in presets}
OF_YOUR_OWN = "Of your own"
"""The heading of combinations and of methods that a script added to ``METHODS``."""
SCHEDULES: dict[str, type[Schedule]] = {part.name: part.kind for part in SCHEDULE_PARTS}
SAMPLERS: dict[str, type[Sampler]] = {part.name: part.kind for part in SAMPLER_PARTS}
GUIDANCES: dict[str, type[Guidance]] = {part.name: part.kind for part in GUIDANCE_PARTS}


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


def group(chosen: Method) -> str:
    """The heading that a method stands under: one of ``GROUPS``, or ``OF_YOUR_OWN``."""
    return next((title for title, presets in GROUPS.items() if chosen in presets), OF_YOUR_OWN)


def here() -> list[Method]:
    """The named methods that this machine has what they need for, a program say, in their order."""
    return [m for m in METHODS.values() if not m.missing()]


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
    suited = kind.suited(SAMPLERS[sampler].takes)
    reason = why_not(SAMPLERS[sampler], kind, kind.Params(**suited))
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
        defaults={f"guidance.{name}": value for name, value in suited.items()},
        needs_region=kind is Inpainting,
    )


def combinations() -> dict[tuple[str, str], str]:
    """Every pair of a sampler and a guidance, with the reason why it makes no sense, or an empty one."""
    return {
        (s, g): why_not(sampler, kind, kind.Params(**kind.suited(sampler.takes)))
        for s, sampler in SAMPLERS.items()
        for g, kind in GUIDANCES.items()
    }
