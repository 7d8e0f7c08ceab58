"""The classical methods: no prior, one convex problem."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.recon.method import Method
from napari_lossguide.recon.program import BART


class NothingToSet(BaseModel):
    """Of methods without knobs."""

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


class POCSParams(BaseModel):
    """Knobs of projections onto convex sets."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    iterations: int = Field(
        30,
        ge=1,
        le=1000,
        title="Iterations",
        description="Each about halves what is missing of one coil's image.",
    )


class PicsParams(BaseModel):
    """Knobs of BART's ``pics``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    regularizer: Literal["l1-wavelet", "tv", "l2"] = Field(
        "l1-wavelet",
        title="Regularizer",
        description="What is kept small: the wavelet coefficients (-R W:3:0:λ), the length of the gradient at each "
        "pixel (-R T:3:0:λ), or |x|² (-l2 -r λ).",
        json_schema_extra={"titles": {"l1-wavelet": "L1-wavelet", "tv": "Total variation", "l2": "|x|² (Tikhonov)"}},
    )
    regularization: float = Field(
        0.005,
        gt=0,
        le=10,
        title="Regularization λ",
        description="Weight of the regularizer, relative to data of unit scale, as in the methods beside it: larger is "
        "smoother.",
    )
    iterations: int = Field(
        200,
        ge=1,
        le=5000,
        title="Iterations",
        description="At most (-i): of FISTA, of ADMM for TV, of CG for |x|² (there 50).",
    )
    cycle_spinning: bool = Field(
        True,
        title="Cycle spinning",
        description="Shift the wavelets at random in each iteration, which hides their blocks; for L1-wavelet alone. "
        "Without it (-n) all iterations have the same wavelets.",
    )


CLASSICAL = (
    Method(
        "zero-filled",
        "Zero-filled",
        "",
        "A^H y: the inverse transform of what was measured, coils combined.",
        classical=NothingToSet,
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
    Method(
        "bart-pics",
        "BART pics",
        "Uecker et al. 2015, Proc ISMRM 23:2486 (BART)",
        "Parallel imaging and compressed sensing by the program BART, where it is installed.",
        classical=PicsParams,
        program=BART,
    ),
    Method(
        "homodyne",
        "Homodyne (partial Fourier)",
        "Noll, Nishimura & Macovski 1991, IEEE Trans Med Imaging 10:154",
        "Fills the side of k-space that was not measured by symmetry, with the phase of its centre.",
        classical=NothingToSet,
    ),
    Method(
        "pocs",
        "POCS (partial Fourier)",
        "Haacke, Lindskog & Lin 1991, J Magn Reson 92:126",
        "The image that has the phase of the centre of k-space and fits the data best, by projections in turn.",
        classical=POCSParams,
    ),
)
