"""What a result says of where it comes from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_lossguide import __version__
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.slice_wise import SliceWise
from napari_lossguide.priors.classifier.classifier import CLASSES, find_classifier
from napari_lossguide.recon.method import Method

ESTIMATORS = {"espirit": "ESPIRiT", "walsh": "Walsh"}


def versions(device: torch.device) -> dict[str, Any]:
    """What a run's numbers depend on beside its recipe and its data."""
    names = {"cuda": torch.cuda.get_device_name} if torch.cuda.is_available() else {}
    return {
        "napari-lossguide": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": names.get(device.type, str)(device),
        "threads": torch.get_num_threads(),
    }


def hash_of(array: np.ndarray | SliceWise) -> str:
    """SHA-256 of an array's bytes."""
    found = hashlib.sha256()
    for part in array:  # one slice of it in memory at a time
        found.update(part.tobytes())
    return found.hexdigest()


def classifier_facts(guidance: Mapping[str, Any]) -> dict[str, str]:
    """Hash of the classifier that a run's guidance asked, nothing if it asked none."""
    if all(guidance.get(question, "any") == "any" for question in CLASSES):
        return {}
    content = find_classifier(guidance["classifier"]).read_bytes()
    return {"classifier_sha256": hashlib.sha256(content).hexdigest()}


def maps_facts(kdata: KData, estimator: str, given: bool) -> dict[str, str]:
    """Where the coil maps of a run come from; nothing of one coil that was given none.

    Parameters
    ----------
    kdata : what was reconstructed.
    estimator : as `Recipe.coil_maps`.
    given : maps were given, so nothing was estimated.
    """
    if given:
        return {"coil_maps": "given"}
    if kdata.n_coils == 1:
        return {}
    if kdata.calibration is None:
        return {"coil_maps": f"{ESTIMATORS[estimator]} of the acquired centre"}
    cy, cx = kdata.calibration.shape[2:]
    return {
        "coil_maps": f"{ESTIMATORS[estimator]} of the calibration lines ({cy} x {cx})",
        "calibration_sha256": hash_of(kdata.calibration),
    }


def program_facts(chosen: Method) -> dict[str, str]:
    """Name and version of the program that a method ran, nothing if it ran none."""
    return {} if chosen.program is None else {chosen.program.name: chosen.program.version()}


def finished() -> dict[str, str]:
    """The time of day, with its zone."""
    return {"finished": datetime.now().astimezone().isoformat(timespec="seconds")}


def provenance(kdata: KData, image: NDArray[np.complex64], device: torch.device) -> dict[str, Any]:
    """Versions, device, time and hashes of a run."""
    return {
        **versions(device),
        **finished(),
        "input": kdata.source or kdata.name,
        "input_sha256": hash_of(kdata.kspace),
        "image_sha256": hash_of(image),
    }
