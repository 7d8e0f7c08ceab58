"""MRI reconstruction with diffusion priors, live inside napari.

From a script:

    from napari_lossguide import reconstruct
    result = reconstruct(kspace)  # complex (ny, nx), (coil, ny, nx) or (slice, coil, ny, nx)
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "reconstruct"]


def __getattr__(name: str) -> Any:
    """``reconstruct`` on first use: it loads PyTorch, which opening the plugin must not."""
    if name == "reconstruct":
        from napari_lossguide.recon.engine import reconstruct

        return reconstruct
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "reconstruct"])
