"""What the header of a Siemens measurement says: its protocol, and from that the grid of its lines."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_lossguide.data.formats.ismrmrd_space import Space
from napari_lossguide.types import InvalidInput

_PROTOCOL, _MEASUREMENT = "MeasYaps", "Meas"
_CARTESIAN, _SLAB, _NO_RAMP = 1, 4, 1
_LARGEST = 65536
_TRAJECTORIES = {2: "radial", 4: "spiral", 8: "blade (PROPELLER)"}


def is_header(content: bytes) -> bool:
    """Whether a measurement begins so: bytes and number of its texts, then the name of the first."""
    if len(content) < 20:
        return False
    size, texts = struct.unpack_from("<2I", content)
    name = content[8:32].partition(b"\0")[0]
    return 64 < size < 1 << 27 and 0 < texts < 32 and name.isalnum() and 2 < len(name) < 20


class Header:
    """Values of a measurement's protocol.

    Parameters
    ----------
    values : by name, as the protocol calls them, "sKSpace.lBaseResolution".
    regridding : what is done to the readout: 1 for nothing, others where gradients ramp during it.
    oversampling : of the readout.
    path : for messages.
    """

    def __init__(self, values: Mapping[str, str], regridding: int, oversampling: float, path: Path) -> None:
        self._values, self._path = values, path
        self.regridding, self.oversampling = regridding, oversampling

    @classmethod
    def of(cls, content: bytes, path: Path) -> Header:
        """From the bytes of a measurement's header.

        Raises
        ------
        InvalidInput
            If it has no protocol.
        """
        texts: dict[str, str] = {}
        place = 8
        for _ in range(struct.unpack_from("<2I", content)[1]):
            end = content.index(b"\0", place)
            (length,) = struct.unpack_from("<I", content, end + 1)
            texts[content[place:end].decode("latin-1")] = content[end + 5 : end + 5 + length].decode("latin-1")
            place = end + 5 + length
        found = re.search(r"### ASCCONV BEGIN.*?\n(.*?)### ASCCONV END ###", texts.get(_PROTOCOL, ""), re.DOTALL)
        if found is None:
            raise InvalidInput(f"The header of {path} has no protocol (MeasYaps); is it damaged?")
        pairs = (line.partition("=") for line in found[1].splitlines() if "=" in line)
        more = texts.get(_MEASUREMENT, "")
        regridding, factor = _number(more, "Long", "alRegridMode"), _number(more, "Double", "flReadoutOSFactor")
        return cls({key.strip(): value.strip() for key, _, value in pairs}, int(regridding or 1), factor or 2.0, path)

    def number(self, name: str, otherwise: float | None = None) -> float:
        """A value.

        Raises
        ------
        InvalidInput
            If it is not there, or no number.
        """
        text = self._values.get(name)
        if text is None and otherwise is not None:
            return otherwise
        try:
            return float(int(text, 16)) if text is not None and text.lower().startswith("0x") else float(text or "")
        except ValueError as error:
            raise InvalidInput(f"The protocol in {self._path} says {name} = {text}; it must be a number.") from error

    @property
    def dwell(self) -> float:
        """Microseconds of a sample; 0 if unknown."""
        return self.number("sRXSPEC.alDwellTime[0]", 0.0) / 1000

    def refusal(self) -> str:
        """Why the measurement cannot be read, as a clause; empty if it can."""
        trajectory = int(self.number("sKSpace.ucTrajectory", _CARTESIAN))
        if trajectory != _CARTESIAN:
            return f"a {_TRAJECTORIES.get(trajectory, 'non-Cartesian')} trajectory"
        if self.regridding != _NO_RAMP:
            return "samples taken while the readout gradient ramps (EPI), which need regridding"
        return ""

    def space(self, rows: np.ndarray, *, oversampled: bool) -> Space:
        """The grid of a measurement's image lines; the readout oversampling is kept if `oversampled`.

        Raises
        ------
        InvalidInput
            If the protocol says no size that can be.
        """
        base, lines = (int(self.number(f"sKSpace.{n}")) for n in ("lBaseResolution", "lPhaseEncodingLines"))
        slab = int(self.number("sKSpace.ucDimension", 2)) == _SLAB
        partitions = int(self.number("sKSpace.lPartitions")) if slab else 1
        images = int(self.number("sKSpace.lImagesPerSlab", partitions)) if slab else 1
        nx = round(base * self.oversampling)
        if not all(1 <= n <= _LARGEST for n in (base, lines, partitions, images, nx)):
            raise InvalidInput(
                f"The protocol in {self._path} says a matrix of {partitions} x {lines} x {base} (z, y, x) points."
            )
        centres = int(rows["centre2"][0]) if slab else 0, int(rows["centre1"][0])
        x, y, z = (self.number(f"sSliceArray.asSlice[0].{n}") for n in ("dReadoutFOV", "dPhaseFOV", "dThickness"))
        y *= 1 + self.number("sKSpace.dPhaseOversamplingForDialog", 0.0)
        images = min(images, partitions)
        pixels = (images, lines, nx if oversampled else base)
        return Space((partitions, lines, nx), pixels, (z / images, y / lines, x / base), centres)


def _number(text: str, kind: str, name: str) -> float | None:
    found = re.search(rf'<Param{kind}\."{name}">\s*{{\s*(?:<Precision>\s*\d+\s*)?([-+.\deE]+)', text)
    return None if found is None else float(found[1])
