"""How a folder of scans becomes training slices."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

REFERENCE_QUANTILE = 0.995  # of the magnitude: what training slices have at one, as ``priors.domain`` means it
PLANES = ("axial", "coronal", "sagittal")


class FolderOptions(BaseModel):
    """How a folder of scans becomes training slices."""

    model_config = ConfigDict(extra="forbid")
    plane: Literal["auto", "axial", "coronal", "sagittal", "all"] = Field(
        "auto", description="of slices through NIfTI volumes; auto: all three, or that of the finest pixels"
    )
    slices: int = Field(60, ge=1, description="most slices of one NIfTI or DICOM volume and plane, evenly spread")
    largest: int = Field(256, ge=32, description="longest side of a slice in pixels; larger ones are resampled to it")
    scale: Literal["slice", "volume"] = Field("slice", description="what has its reference quantile at one")
    patient: Literal["auto", "folder", "file"] = Field(
        "auto", description="what names the patient where the file does not: the first sub-folder, or the file's name"
    )
    patient_pattern: str = Field("", description="regular expression whose first group, in the path, is the patient")
    validation_share: float = Field(0.15, ge=0, lt=1, description="part of the patients that is kept for validation")
    dataset: str = Field("", description="name of the array in .npz and .h5 files, instead of the usual ones")

    @field_validator("patient_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        if pattern and groups < 1:
            raise ValueError(f"{pattern!r} has no group; the patient goes in parentheses, as in '(sub-[0-9]+)'")
        return pattern
