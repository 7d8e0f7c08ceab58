"""The classical methods: no prior, one convex problem."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.recon.method import Method


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
