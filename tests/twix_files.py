"""Siemens raw data files, written line by line as the scanner does: of VD and later, or of VB."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

END, SYNC = 1 << 0, 1 << 5
PHASE_CORRECTION, CALIBRATION, ALSO_IMAGE, REVERSE, NOISE = 1 << 21, 1 << 22, 1 << 23, 1 << 24, 1 << 25
COUNTERS = ("lin", "ave", "sli", "par", "eco", "phs", "rep", "set", "seg")
UPRIGHT = (1.0, 0.0, 0.0, 0.0)

PROTOCOL = {
    "sKSpace.lBaseResolution": "8",
    "sKSpace.lPhaseEncodingLines": "12",
    "sKSpace.lPartitions": "16",
    "sKSpace.lImagesPerSlab": "4",
    "sKSpace.ucDimension": "0x2",
    "sKSpace.ucTrajectory": "0x1",
    "sSliceArray.asSlice[0].dThickness": "5.0",
    "sSliceArray.asSlice[0].dPhaseFOV": "24.0",
    "sSliceArray.asSlice[0].dReadoutFOV": "24.0",
    "sRXSPEC.alDwellTime[0]": "5000",
}


@dataclass
class Line:
    """One line: complex (coil, sample), and what its header says."""

    data: np.ndarray
    flags: int = 0
    cut: tuple[int, int] = (0, 0)
    centre: int | None = None
    centres: tuple[int, int] = (6, 0)
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = UPRIGHT
    counters: Mapping[str, int] = field(default_factory=dict)

    def fields(self) -> tuple[bytes, bytes]:
        """What stands from the flags on, before and behind the part that differs between versions."""
        coils, samples = self.data.shape
        centre = samples // 2 if self.centre is None else self.centre
        counters = [self.counters.get(name, 0) for name in COUNTERS] + [0] * 5
        numbers = (samples, coils, *counters, *self.cut, centre, 0, 0, 0, *self.centres)
        first = struct.pack("<Q2H14H2H2HfI2H", self.flags, *numbers)
        return first, struct.pack("<3f4f", *self.position, *self.quaternion)


def lines_of(kspace: np.ndarray, **more: object) -> list[Line]:
    """Every line of k-space (slice, coil, ny, nx) that is not zero."""
    return [
        Line(kspace[sli, :, lin], counters={"sli": sli, "lin": lin}, **more)
        for sli in range(len(kspace))
        for lin in range(kspace.shape[2])
        if kspace[sli, :, lin].any()
    ]


def header(protocol: Mapping[str, str], ramp: int = 1, oversampling: float = 2.0) -> bytes:
    """The texts before the lines."""
    values = "\n".join(f"{key}\t = \t{value}" for key, value in protocol.items())
    texts = {
        "Config": '<XProtocol>\n{\n  <ParamMap."">\n  {\n  }\n}\n',
        "Meas": f'<XProtocol>\n{{\n  <ParamLong."alRegridMode">  {{ {ramp} 1 }}\n'
        f'  <ParamDouble."flReadoutOSFactor">\n  {{\n    <Precision> 16\n    {oversampling:.6f}\n  }}\n}}\n',
        "MeasYaps": f"### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData ###\n{values}\n### ASCCONV END ###\n",
    }
    out = b""
    for name, text in texts.items():
        out += name.encode() + b"\0" + struct.pack("<I", len(text)) + text.encode()
    size = 8 + len(out)
    size += -size % 32
    return (struct.pack("<2I", size, len(texts)) + out).ljust(size, b"\0")


def _vd(line: Line) -> bytes:
    first, place = line.fields()
    own = line.flags & (END | SYNC)
    coils = b"" if own else b"".join(bytes(32) + row.astype("<c8").tobytes() for row in line.data)
    rest = bytes(160) if own else coils
    return struct.pack("<I36x", 192 + len(rest)) + first + place + bytes(64) + rest


def _vb(line: Line) -> bytes:
    first, place = line.fields()
    head = struct.pack("<I16x", 128 + 8 * line.data.shape[1]) + first + bytes(16) + place + bytes(4)
    if line.flags & END:
        return head
    return b"".join(head + row.astype("<c8").tobytes() for row in line.data)


def finish() -> Line:
    """What stands behind the last line."""
    return Line(np.zeros((1, 0)), END)


def write(path: Path, measurements: Sequence[tuple[bytes, Sequence[Line]]], version: str = "VD") -> Path:
    """Headers and lines of measurements; VB has one."""
    pack = _vd if version == "VD" else _vb
    bodies = [head + b"".join(pack(line) for line in [*lines, finish()]) for head, lines in measurements]
    if version == "VB":
        path.write_bytes(bodies[0])
        return path
    table, content, place = struct.pack("<2I", 0, len(bodies)), b"", 10240
    for number, body in enumerate(bodies):
        table += struct.pack("<2I2Q64s64s", 100 + number, 1, place, len(body), b"x" * 20, b"gre")
        body += bytes(-len(body) % 512)
        content, place = content + body, place + len(body)
    path.write_bytes(table.ljust(10240, b"\0") + content)
    return path
