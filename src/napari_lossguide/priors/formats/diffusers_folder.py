"""A folder that ``diffusers`` wrote: a ``UNet2DModel`` and the scheduler it was trained with.

Hugging Face diffusers, https://huggingface.co/docs/diffusers: ``unet/config.json`` with weights, and
``scheduler/scheduler_config.json``; or the folder of the UNet2DModel alone, with ``scheduler_config.json`` in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.checkpoint import Contents, contents, fill, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

# Schedulers of DDPM's steps differ in how they sample; a denoiser needs their betas only.
STEPS = (
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "IPNDMScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
)
KINDS = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}


class DiffusersFolder:
    """``priors.formats.registry.Format`` of diffusers folders."""

    name = "diffusers"
    title = "a diffusers folder"
    usual = (-1.0, 1.0)
    accepts: tuple[str, ...] = ("epsilon", "v", "x0", "score")

    def recognises(self, found: Contents) -> bool:
        """Whether there is a network's configuration as diffusers writes it."""
        path = found.path
        return path.is_dir() and ((path / "model_index.json").is_file() or unet_folder(path) is not None)

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Read both configurations."""
        path = found.path
        index = read_json(path / "model_index.json") if (path / "model_index.json").is_file() else {}
        latent = next((k for k in ("vae", "vqvae", "movq") if k in index or (path / k).is_dir()), None)
        if latent:
            raise InvalidInput(
                f"{path} is a latent diffusion model (it has a '{latent}'): it denoises codes, not pixels; "
                "a prior here must denoise images."
            )
        folder = unet_folder(path)
        if folder is None:
            raise InvalidInput(f"{path} has no UNet2DModel (unet/config.json); a prior here needs one.")
        config = read_json(folder / "config.json")
        check_network(config, path)
        size = config.get("sample_size")
        values: dict[str, Any] = {
            "channels": config.get("in_channels", 3),
            "size": size if isinstance(size, int) else None,
            "divisible_by": 2 ** (len(config.get("block_out_channels") or (1, 1, 1, 1)) - 1),
            **scheduler_facts(path, folder),
        }
        return completed(values, given, path)

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Nothing: the configuration has all settings."""
        return ()

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Make the UNet2DModel, and what turns its prediction into an estimate."""
        from napari_lossguide.priors.precond import Call, DDPMPrecond, ScorePrecond

        folder = unet_folder(found.path)
        assert folder is not None
        assert card.schedule is not None
        model_class = unet_class(found.path)
        config = read_json(folder / "config.json")
        settings = {k: v for k, v in config.items() if not k.startswith("_")}
        state = read_state(contents(weights_file(folder)))
        network = Call(fill(lambda: model_class(**settings), state, folder), predict)
        if card.parameterisation == "score":
            return ScorePrecond(network)
        times, sigmas = card.schedule.levels()
        return DDPMPrecond(network, times, sigmas, card.parameterisation or "")


def predict(network: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """The network's prediction; a learned variance, which follows it in the channels, is left out."""
    return network(x, t).sample[:, : x.shape[1]]


def unet_folder(path: Path) -> Path | None:
    """Where the network is; the averaged one before the last one."""
    for folder in (path / "unet_ema", path / "unet", path):
        config = folder / "config.json"
        if config.is_file() and str(read_json(config).get("_class_name", "")).startswith("UNet"):
            return folder
    return None


def check_network(config: dict[str, Any], path: Path) -> None:
    """Refuse networks that need more than an image and a noise level."""
    name = config.get("_class_name")
    if name != "UNet2DModel":
        raise InvalidInput(f"The network in {path} is a {name}; a prior here needs a UNet2DModel without conditions.")
    if config.get("num_class_embeds") is not None or config.get("class_embed_type") is not None:
        raise InvalidInput(f"The network in {path} needs class labels; a prior here must be unconditional.")
    n_in, n_out = config.get("in_channels", 3), config.get("out_channels", 3)
    if n_out not in (n_in, 2 * n_in):
        raise InvalidInput(f"The network in {path} has {n_in} channels in and {n_out} out; they must be equal.")


def scheduler_facts(path: Path, folder: Path) -> dict[str, Any]:
    """Parameterisation and schedule, or nothing if there is no scheduler.

    Raises
    ------
    InvalidInput
        If the scheduler is of another kind of diffusion.
    """
    places = (path / "scheduler", path, folder.parent / "scheduler", folder)
    file = next((p / "scheduler_config.json" for p in places if (p / "scheduler_config.json").is_file()), None)
    if file is None:
        return {}
    config = read_json(file)
    name = config.get("_class_name")
    if name == "ScoreSdeVeScheduler":
        limits = {k: config.get(k, default) for k, default in (("sigma_min", 0.01), ("sigma_max", 1348.0))}
        return {"parameterisation": "score", "schedule": {"kind": "ve-sde"} | limits}
    if name not in STEPS:
        raise InvalidInput(
            f"The scheduler in {file} is a {name}; accepted are those of DDPM's steps, such as DDPMScheduler, and "
            "ScoreSdeVeScheduler."
        )
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise InvalidInput(f"prediction_type in {file} is '{prediction}'; accepted are {', '.join(PREDICTIONS)}.")
    return {"parameterisation": PREDICTIONS[prediction], "schedule": schedule_of(config, file)}


def schedule_of(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The betas of a scheduler's configuration, as fields of ``Schedule``."""
    zero_snr = bool(config.get("rescale_betas_zero_snr", False))
    if config.get("trained_betas") is not None:
        return {"kind": "betas", "betas": config["trained_betas"], "zero_snr": zero_snr}
    kind = config.get("beta_schedule", "linear")
    if kind not in KINDS:
        raise InvalidInput(f"beta_schedule in {file} is '{kind}'; accepted are {', '.join(KINDS)} and trained_betas.")
    fields = {"steps": "num_train_timesteps", "beta_start": "beta_start", "beta_end": "beta_end"}
    given = {ours: config[theirs] for ours, theirs in fields.items() if config.get(theirs) is not None}
    return {"kind": KINDS[kind], "zero_snr": zero_snr} | given


def weights_file(folder: Path) -> Path:
    """The file with the network's weights, safetensors before pickles.

    Raises
    ------
    InvalidInput
        If there is none, or they are in several files.
    """
    if index := next(folder.glob("*.index.json"), None):
        raise InvalidInput(f"The weights in {folder} are in several files ({index.name}); save the model in one file.")
    # The shortest name is that of full precision, without a variant such as "fp16" in it.
    found = [p for s in ("*.safetensors", "*.bin") for p in sorted(folder.glob(s), key=lambda p: len(p.name))]
    if not found:
        raise InvalidInput(f"{folder} has no weights; diffusion_pytorch_model.safetensors is looked for.")
    return found[0]


def unet_class(path: Path) -> Any:
    """``diffusers.UNet2DModel``.

    Raises
    ------
    InvalidInput
        If diffusers is not installed.
    """
    try:
        from diffusers import UNet2DModel
    except ImportError as error:
        raise InvalidInput(
            f'{path} needs the package diffusers ({error}): pip install "napari-lossguide[diffusers]"'
        ) from error
    return UNet2DModel


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    InvalidInput
        If the file cannot be read as one.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{file} holds a {type(values).__name__}; a JSON object is needed.")
    return values
