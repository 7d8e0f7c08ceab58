"""MRI reconstruction with diffusion priors, live inside napari.

From a script:

    from napari_lossguide import reconstruct
    result = reconstruct(kspace)  # complex (ny, nx), (coil, ny, nx) or (slice, coil, ny, nx)

    from napari_lossguide import sample
    samples = sample(count=16)  # what the prior knows by itself
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "reconstruct", "sample"]


def __getattr__(name: str) -> Any:
    """``reconstruct`` and ``sample`` on first use: they load PyTorch, which opening the plugin must not."""
    if name == "reconstruct":
        from napari_lossguide.recon.engine import reconstruct

        return reconstruct
    if name == "sample":
        from napari_lossguide.recon.sampling import sample

        return sample
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "reconstruct", "sample"])
