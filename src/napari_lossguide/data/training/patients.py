"""Who is on which scan, and which patients are kept for validation. A patient is never on both sides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from napari_lossguide.data.training.options import FolderOptions

BIDS = re.compile(r"(?:^|[/_])(sub-[0-9A-Za-z]+)")
SUFFIXES = re.compile(r"(?:\.(?:nii|gz|npy|npz|h5|hdf5|dcm))+$", re.IGNORECASE)
# Ends of a file name that tell scans of one patient apart.
CONTRAST = re.compile(
    r"[-_. ](?:t1|t2|t1w|t2w|t1c|t1ce|t1gd|t2s|flair|pd|pdw|dwi|adc|swi|mra|gre|tof|stir|ax|cor|sag|tra|axial|coronal|"
    r"sagittal|pre|post|run-?\d+|ses-?\w+|acq-\w+|echo-?\d+)$",
    re.IGNORECASE,
)
NUMBER = re.compile(r"[-_. ]*(?:slice|sl|img|im)?[-_. ]*\d+$", re.IGNORECASE)


def name_patients(
    names: Sequence[str], known: Mapping[str, str], flat: Sequence[str], options: FolderOptions
) -> tuple[dict[str, str], list[str]]:
    """The patient of each file.

    Parameters
    ----------
    names : of the files, relative to the data folder.
    known : what some files say themselves.
    flat : those of the files that hold a single slice.

    Returns
    -------
    The patient of each name, and warnings in words.
    """
    unknown = [n for n in names if not known.get(n)]
    parts = shared_folders(unknown)
    stems = {n: patient_of_file(n) for n in unknown}
    numbered = {n: NUMBER.sub("", stems[n]) for n in flat if n in stems}
    warnings = []
    if len(set(numbered.values())) > 1:  # p01_slice_007 belongs to p01
        stems |= {n: name or stems[n] for n, name in numbered.items()}
    elif len(numbered) > 1 and options.patient != "folder" and not options.patient_pattern:
        warnings.append(
            "Each single slice is taken as a patient of its own, by its name; if they are not, neighbours may be on "
            "both sides of the split: say who is who with folder.patient_pattern."
        )
    found = {n: patient_of(n, parts, stems[n], options) for n in unknown}
    by_folder = [n for n in unknown if len(PurePosixPath(n).parts) > parts + 1]
    if (
        options.patient == "auto"
        and len(by_folder) > len({stems[n] for n in by_folder}) > 1
        and not BIDS.search(names[0])
    ):
        warnings.append(
            "File names repeat across sub-folders, each of which is taken as a patient; if the file name is the "
            "patient, use --set folder.patient=file."
        )
    return {n: known.get(n) or found[n] for n in names}, warnings


def shared_folders(names: Sequence[str]) -> int:
    """Number of leading folders that all names have in common."""
    folders = [PurePosixPath(n).parts[:-1] for n in names]
    depth = 0
    while folders and all(len(f) > depth and f[depth] == folders[0][depth] for f in folders):
        depth += 1
    return depth


def patient_of(name: str, depth: int, by_file: str, options: FolderOptions) -> str:
    """By the given pattern, BIDS, the first folder below ``depth``, or the file's name."""
    if options.patient_pattern:
        match = re.search(options.patient_pattern, name)
        return match[1] if match else name
    if options.patient == "auto" and (match := BIDS.search(name)):
        return match[1]
    parts = PurePosixPath(name).parts
    return parts[depth] if len(parts) > depth + 1 and options.patient != "file" else by_file


def patient_of_file(name: str) -> str:
    """A file's name without what tells scans of one patient apart: p01_T1.nii.gz -> p01."""
    stem = SUFFIXES.sub("", PurePosixPath(name).name)
    while (shorter := CONTRAST.sub("", stem)) != stem and shorter:
        stem = shorter
    return stem


def validation_patients(patients: Sequence[str], share: float) -> set[str]:
    """The patients to validate on: at least one if there are two, chosen by the checksum of their names.

    So the choice does not depend on the order of files, and changes little when patients are added.
    """
    everyone = sorted(set(patients), key=lambda p: hashlib.sha256(p.encode()).hexdigest())
    if share == 0 or len(everyone) < 2:
        return set()
    return set(everyone[: max(1, min(len(everyone) - 1, round(share * len(everyone))))])
