"""Sample data: what the package simulates, takes from another package, or fetches."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from napari_lossguide.data.kdata import KData
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import shepp_logan, simulate, smooth_phase
from napari_lossguide.data.readers import read
from napari_lossguide.types import InvalidInput

SIGPY_BRAIN_URL = "https://github.com/mikgroup/sigpy-mri-tutorial/raw/master/data/cartesian_ksp.npy"
SIGPY_BRAIN_SHA256 = "bcfd07b767d26602bfccd08329321be57d500dc3f6b208cccddeb59162573045"

_TEMPLATE_FILE = Path("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
_TEMPLATE_SHAPE = (208, 176)
# Through the basal ganglia and ventricles, the level of the thalamus, and above the ventricles.
_TEMPLATE_Z_MM = (-4, 14, 34)


def phantom() -> KData:
    """Shepp-Logan phantom, 256 x 256, 8 simulated coils, smooth phase and noise."""
    shape = (256, 256)
    kdata = simulate(
        shepp_logan(shape[0]),
        n_coils=8,
        noise_std=0.01,
        phase=smooth_phase(shape, seed=1),
        name="Shepp-Logan",
        source="simulation: Shepp-Logan phantom, 8 coils",
    )
    return replace(kdata, origin=Origin("sample", "phantom"))


def template_images() -> np.ndarray:
    """Axial slices of the MNI152 T1 template (ICBM 2009a symmetric, 1 mm, as nilearn ships it); nothing is downloaded.

    Returns
    -------
    float32 (3, 208, 176)
        In [0, 1], nose up, the head's right on the left.

    Raises
    ------
    InvalidInput
        If nilearn, which the extra `demo` installs, or its file is not there.
    """
    spec = find_spec("nilearn")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((p for folder in folders if (p := Path(folder, _TEMPLATE_FILE)).is_file()), None)
    if path is None:
        raise InvalidInput(
            "The MNI152 template comes with the package nilearn, which is not installed (or ships it no longer); "
            'run `pip install "napari-lossguide[demo]"`.'
        )
    import nibabel

    volume = nibabel.load(path)
    origin_mm = volume.affine[2, 3]
    planes = [round(z - origin_mm) for z in _TEMPLATE_Z_MM]
    # The file's axes run to the right, to the front and up, 1 mm each.
    slices = np.asarray(volume.dataobj)[::-1, ::-1, planes].transpose(2, 1, 0).astype(np.float32)
    ny, nx = _TEMPLATE_SHAPE
    top, left = (slices.shape[1] - ny) // 2, (slices.shape[2] - nx) // 2
    slices = slices[:, top : top + ny, left : left + nx]
    return slices / slices.max()


def template() -> KData:
    """The slices of `template_images` as an 8-coil acquisition: smooth phase, noise for a signal-to-noise ratio of 30.

    The ratio is that of the mean over the brain to the noise of one pixel's real part.
    """
    images = template_images()
    brain = images[images > 0.1].mean()
    kdata = simulate(
        images,
        n_coils=8,
        noise_std=float(np.sqrt(2) * brain / 30),
        phase=np.stack([smooth_phase(_TEMPLATE_SHAPE, seed) for seed in range(len(images))]),
        spacing=(_TEMPLATE_Z_MM[1] - _TEMPLATE_Z_MM[0], 1.0, 1.0),
        name="MNI152 template",
        source="simulation: MNI152 T1 template (ICBM 2009a symmetric), 8 coils",
    )
    return replace(kdata, origin=Origin("sample", "template"))


def lesson_phantom() -> KData:
    """Shepp-Logan phantom, 128 x 128, one coil, no phase, little noise: the simplest acquisition there is."""
    return simulate(shepp_logan(128), noise_std=0.005, name="Lesson 1", source="simulation: Shepp-Logan phantom")


def lesson_brain() -> KData:
    """One slice of the MNI152 template with 8 coils; raises what `template` raises."""
    return replace(template().select(1), name="Lesson 2")


def lesson_spikes() -> KData:
    """The phantom with 4 coils, much noise, and spikes: single points that are far too large, as of a loose contact."""
    clean = simulate(
        shepp_logan(128), n_coils=4, noise_std=0.08, name="Lesson 3", source="simulation: phantom, noise, spikes"
    )
    kspace, rng = np.array(clean.kspace), np.random.default_rng(3)
    for _ in range(3):
        y, x = rng.integers(20, 108, 2)
        kspace[..., y, x] += 0.3 * np.abs(kspace).max()
    return replace(clean, kspace=kspace)


def lesson_scan() -> KData:
    """The phantom with 8 coils and phase, as a scanner would give it: no true image, no maps, no noise level."""
    shape = (128, 128)
    known = simulate(
        shepp_logan(shape[0]),
        n_coils=8,
        noise_std=0.02,
        phase=smooth_phase(shape, seed=4),
        name="Lesson 4",
        source="simulation: phantom, 8 coils, nothing known",
    )
    return replace(known, reference=None, maps=None, noise_std=None)


def lesson_stack() -> KData:
    """Five slices of 4 coils, 5 mm apart: the phantom grows smaller from slice to slice, as a head does upwards."""
    whole = shepp_logan(128)
    grid = 2 * np.arange(128) / 127 - 1
    slices = []
    for size in (1.0, 0.95, 0.88, 0.78, 0.64):
        index = np.rint((grid / size + 1) / 2 * 127).astype(int)
        inside = (index >= 0) & (index < 128)
        index = index.clip(0, 127)
        slices.append(whole[np.ix_(index, index)] * np.outer(inside, inside))
    return simulate(
        np.stack(slices),
        n_coils=4,
        noise_std=0.01,
        spacing=(5.0, 1.0, 1.0),
        name="Lesson 5",
        source="simulation: phantom, 5 slices, 4 coils",
    )


def sigpy_brain(
    url: str = SIGPY_BRAIN_URL, cache: str | os.PathLike[str] | None = None, sha256: str = SIGPY_BRAIN_SHA256
) -> KData:
    """The SigPy tutorial's brain: really measured, 8 coils, 230 x 180, variable density, 12.4 % acquired.

    Parameters
    ----------
    url : where the .npy file is
    cache : folder to keep it in; None: the user's cache folder
    sha256 : of the file; a file in the cache that fits is used without the network

    Raises
    ------
    InvalidInput
        If it cannot be fetched or is not the right file.
    """
    import pooch

    folder = Path(pooch.os_cache("napari-lossguide") if cache is None else cache)
    try:
        path = pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname="cartesian_ksp.npy", path=folder)
    except OSError as error:
        raise InvalidInput(
            f"{url} could not be fetched ({type(error).__name__}); check the network connection, or put the file at "
            f"{folder / 'cartesian_ksp.npy'}."
        ) from error
    except ValueError as error:
        raise InvalidInput(f"{url} gave another file than expected (its SHA-256 differs); nothing was kept.") from error
    given = {"url": url, "cache": None if cache is None else str(folder.resolve()), "sha256": sha256}
    usual = {"url": SIGPY_BRAIN_URL, "cache": None, "sha256": SIGPY_BRAIN_SHA256}
    origin = Origin("sample", "sigpy_brain", {k: v for k, v in given.items() if v != usual[k]})
    return replace(read(path), name="SigPy brain", source=url, origin=origin)
