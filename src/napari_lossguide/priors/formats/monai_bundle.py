"""A MONAI bundle of a diffusion model on pixels: ``configs/*.json`` (or .yaml) and ``models/*.pt``.

https://docs.monai.io/en/stable/bundle_intro.html. The network is a two-dimensional ``DiffusionModelUNet`` without
conditions, of MONAI or of MONAI Generative, its scheduler one of DDPM's steps. References to other entries (``@name``)
are followed; expressions (``$...``) are code and are not evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_lossguide.priors.formats.checkpoint import Contents, contents, fill, read_state
from napari_lossguide.priors.formats.sidecar import Sidecar, completed
from napari_lossguide.types import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

LATENT = ("AutoencoderKL", "VQVAE", "LatentDiffusionInferer", "AutoencoderKlMaisi")
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
KINDS = {"linear_beta": "linear", "linear": "linear", "scaled_linear_beta": "scaled_linear", "cosine": "cosine"}
KINDS |= {"scaled_linear": "scaled_linear"}
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
FIRST = ("inference", "common", "train")  # the configuration that is believed first


class MonaiBundle:
    """``priors.formats.registry.Format`` of MONAI bundles."""

    name = "monai"
    title = "a MONAI bundle"
    usual = (0.0, 1.0)
    accepts: tuple[str, ...] = ("epsilon", "v", "x0")

    def recognises(self, found: Contents) -> bool:
        """Whether there are configurations where a bundle has them."""
        return found.path.is_dir() and bool(config_files(found.path))

    def describe(self, found: Contents, given: Sidecar) -> Sidecar:
        """Read network and scheduler from the configurations."""
        path = found.path
        config = read_configs(path)
        settings = network_settings(config, path)
        values: dict[str, Any] = {
            "channels": settings["in_channels"],
            "divisible_by": 2 ** (len(settings.get("channels", (32, 64, 64, 64))) - 1),
            **scheduler_facts(config, path),
        }
        return completed(values, given, path)

    def lacks(self, found: Contents, card: Sidecar) -> Sequence[str]:
        """Nothing: the configuration has all settings."""
        return ()

    def build(self, found: Contents, card: Sidecar) -> nn.Module:
        """Make the DiffusionModelUNet, and what turns its prediction into an estimate."""
        from napari_lossguide.priors.precond import Call, DDPMPrecond

        assert card.schedule is not None
        path = found.path
        model_class = unet_class(path)
        settings = network_settings(read_configs(path), path)
        file = weights_file(path)
        state = read_state(contents(file))
        network = fill(lambda: model_class(**settings), renamed(state), file)
        times, sigmas = card.schedule.levels()
        return DDPMPrecond(Call(network, predict), times, sigmas, card.parameterisation or "")


def predict(network: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """The network's prediction."""
    return network(x, timesteps=t)


def config_files(path: Path) -> list[Path]:
    """The configurations that may hold the network, the one that is believed first last."""
    files = [p for p in (path / "configs").glob("*") if p.suffix.lower() in (".json", ".yaml", ".yml")]
    files = [p for p in files if p.stem not in ("metadata", "logging")]
    return sorted(files, key=lambda p: (FIRST.index(p.stem) if p.stem in FIRST else len(FIRST), p.name), reverse=True)


def read_configs(path: Path) -> dict[str, Any]:
    """All configurations as one, as far as their top entries differ.

    Raises
    ------
    InvalidInput
        If one cannot be read.
    """
    merged: dict[str, Any] = {}
    for file in config_files(path):
        try:
            text = file.read_text(encoding="utf-8")
            values = json.loads(text) if file.suffix.lower() == ".json" else from_yaml(text)
        except (OSError, ValueError, ImportError) as error:
            raise InvalidInput(f"{file} cannot be read: {' '.join(str(error).split())[:200]}.") from error
        merged |= values if isinstance(values, dict) else {}
    return merged


def from_yaml(text: str) -> Any:
    """Plain values from YAML; ValueError if it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def components(values: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries with a ``_target_``, nested ones included."""
    if isinstance(values, dict):
        if isinstance(values.get("_target_"), str):
            yield values
        values = list(values.values())
    if isinstance(values, list):
        for inner in values:
            yield from components(inner)


def component(config: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The first component of one of these classes."""
    return next((c for c in components(config) if c["_target_"].rpartition(".")[2] in names), None)


def resolved(value: Any, config: Mapping[str, Any], path: Path) -> Any:
    """A value with its references followed.

    Raises
    ------
    InvalidInput
        If it is an expression, or a reference to nothing.
    """
    if isinstance(value, list):
        return [resolved(v, config, path) for v in value]
    if not isinstance(value, str) or value[:1] not in ("@", "$"):
        return value
    if value[0] == "$":
        raise InvalidInput(f"The configuration of {path} has the expression {value!r}; write its value in its place.")
    found: Any = config
    for part in value[1:].replace("::", "#").split("#"):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidInput(f"The configuration of {path} refers to {value!r}, which is not in it.") from error
    return resolved(found, config, path)


def network_settings(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Arguments of the DiffusionModelUNet.

    Raises
    ------
    InvalidInput
        If there is none, or it is not a network on two-dimensional images alone.
    """
    if latent := component(config, LATENT):
        raise InvalidInput(
            f"{path} is a latent diffusion model (it has a {latent['_target_'].rpartition('.')[2]}): it denoises "
            "codes, not pixels; a prior here must denoise images."
        )
    network = component(config, ("DiffusionModelUNet",))
    if network is None:
        raise InvalidInput(f"The configurations of {path} have no DiffusionModelUNet; a prior here needs one.")
    settings = {k: resolved(v, config, path) for k, v in network.items() if not k.startswith("_")}
    if "num_channels" in settings:  # MONAI Generative's name of it
        settings["channels"] = settings.pop("num_channels")
    if settings.get("spatial_dims") != 2:
        raise InvalidInput(f"{path} is a network on {settings.get('spatial_dims')}-D images; a prior here needs 2-D.")
    if settings.get("with_conditioning") or settings.get("num_class_embeds") is not None:
        raise InvalidInput(f"{path} needs a condition or class labels; a prior here must be unconditional.")
    n_in, n_out = settings.get("in_channels"), settings.get("out_channels")
    if n_in != n_out:
        raise InvalidInput(f"The network in {path} has {n_in} channels in and {n_out} out; they must be equal.")
    return settings


def scheduler_facts(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Parameterisation and schedule, or nothing if there is no scheduler.

    Raises
    ------
    InvalidInput
        If it is of a kind that is not known.
    """
    scheduler = component(config, SCHEDULERS)
    if scheduler is None:
        return {}
    values = {k: resolved(v, config, path) for k, v in scheduler.items() if not k.startswith("_")}
    kind = values.get("schedule", values.get("beta_schedule", "linear_beta"))
    if kind not in KINDS:
        raise InvalidInput(f"The schedule in {path} is '{kind}'; accepted are {', '.join(KINDS)}.")
    prediction = values.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise InvalidInput(f"prediction_type in {path} is '{prediction}'; accepted are {', '.join(PREDICTIONS)}.")
    fields = {"steps": "num_train_timesteps", "beta_start": "beta_start", "beta_end": "beta_end", "offset": "s"}
    given = {ours: values[theirs] for ours, theirs in fields.items() if theirs in values}
    return {"parameterisation": PREDICTIONS[prediction], "schedule": {"kind": KINDS[kind]} | given}


def weights_file(path: Path) -> Path:
    """The file with the network's weights.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    files = sorted((path / "models").glob("*.pt"), key=lambda p: (p.stem != "model", p.name))
    files = [p for p in files if p.suffix.lower() == ".pt" and "autoencoder" not in p.stem]
    if not files:
        raise InvalidInput(f"{path} has no weights; models/model.pt is looked for.")
    return files[0]


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of MONAI Generative by the names that MONAI has for them; MONAI's own as they are."""
    if any(".attn." in k or ".postconv." in k for k in state):
        return dict(state)
    names = {".proj_attn.": ".attn.out_proj.", ".upsampler.conv.": ".upsampler.postconv."}
    names |= {f".to_{k}.": f".attn.to_{k}." for k in "qkv"}
    out = {}
    for key, value in state.items():
        for before, after in names.items():
            key = key.replace(before, after)
        out[key] = value
    return out


def unet_class(path: Path) -> Any:
    """``monai.networks.nets.DiffusionModelUNet``.

    Raises
    ------
    InvalidInput
        If MONAI is not installed.
    """
    try:
        import einops  # noqa: F401 (attention in MONAI needs it, and says so only when a network is made)
        from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
    except ImportError as error:
        raise InvalidInput(
            f'{path} needs the package monai ({error}): pip install "napari-lossguide[monai]"'
        ) from error
    return DiffusionModelUNet
