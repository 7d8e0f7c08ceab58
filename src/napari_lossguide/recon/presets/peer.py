"""The systems of L. Peer, "Diffusion Models for Linear Inverse Problems", ETH Zurich 2023."""

from __future__ import annotations

from napari_lossguide.guidance.loss_guidance import LossGuidance, ThesisLossGuidance
from napari_lossguide.guidance.replacement import FrequencyReplacement
from napari_lossguide.recon.method import Method
from napari_lossguide.samplers.ancestral import AncestralSampler
from napari_lossguide.samplers.ddim import DDIMSampler
from napari_lossguide.samplers.schedules import CosineDDPMSchedule, KarrasSchedule

PEER = (
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
)
