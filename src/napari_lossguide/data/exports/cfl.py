"""BART's pairs of files, with the record in a third one, NAME.json."""

from __future__ import annotations

from pathlib import Path

from napari_lossguide.data.exports.base import Export
from napari_lossguide.data.formats.bart import header_of, record_of, write_cfl


class Cfl:
    """NAME.cfl, complex64, NAME.hdr, and NAME.json: BART has no place for anything else."""

    name = "BART .cfl"
    suffixes: tuple[str, ...] = (".cfl",)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The three."""
        return path.with_suffix(".cfl"), header_of(path.with_suffix(".cfl")), record_of(path.with_suffix(".cfl"))

    def write(self, path: Path, export: Export) -> None:
        """Write the three files together."""
        write_cfl(
            path.with_suffix(".cfl"), export.images, {record_of(path.with_suffix(".cfl")): export.record_json.encode()}
        )
