"""What is done to raw data when they are read. Forms, options and checks are made from these fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_lossguide.types import InvalidInput


class RawSteps(BaseModel):
    """Steps between a file and k-space; frozen. A step that a file has nothing for does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prewhiten: bool = Field(
        True,
        title="Prewhiten",
        description="Make the noise of all coils independent and of the same size, by the noise scan of the file "
        "(ISMRMRD, Siemens).",
    )
    remove_oversampling: bool = Field(
        True,
        title="Remove oversampling",
        description="Cut the field of view along the readout to that of the image (ISMRMRD, Siemens).",
    )
    phase_correction: bool = Field(
        True,
        title="Phase correction",
        description="Take off the linear phase of lines that were read backwards, which makes N/2 ghosts, by the "
        "phase-correction lines of the file (ISMRMRD, Siemens).",
    )
    coils: int | None = Field(
        None,
        ge=1,
        le=1024,
        title="Virtual coils",
        description="Compress to so many coils, in every format; without it all coils are kept.",
    )
    compression: Literal["svd", "gcc"] = Field(
        "svd",
        title="Compression",
        description="Of the coils: svd, one combination for a slice; gcc, geometric coil compression, one for each "
        "position along the readout.",
        json_schema_extra={"titles": {"svd": "SVD", "gcc": "geometric (GCC)"}},
    )

    @classmethod
    def of(cls, given: RawSteps | Mapping[str, Any]) -> RawSteps:
        """From steps, or from those that are not as usual by name: ``{"coils": 8}``.

        Raises
        ------
        InvalidInput
            If there is no such step, or no such value of it.
        """
        if isinstance(given, cls):
            return given
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"Raw-data step {where} = {first['input']!r}: {first['msg']}.") from error

    def changed(self) -> dict[str, Any]:
        """What is not as usual, as `of` takes it; empty if everything is."""
        fields = type(self).model_fields
        found = {name: value for name, value in self.model_dump().items() if value != fields[name].default}
        if self.coils is None:
            found.pop("compression", None)  # of nothing
        return found

    def left_out(self) -> list[str]:
        """The steps of raw data that are not done, in words."""
        words = {
            "not prewhitened": self.prewhiten,
            "with oversampling": self.remove_oversampling,
            "without phase correction": self.phase_correction,
        }
        return [word for word, done in words.items() if not done]


USUAL = RawSteps()
"""What is done if nobody says otherwise."""
