"""The table of keys in the documentation is that of the models."""

from pathlib import Path

import pytest

from napari_lossguide.data.training.options import FolderOptions
from napari_lossguide.priors.training.augmentation import Augmentation
from napari_lossguide.priors.training.config import FineNetwork, SliceFile, TrainConfig, ViewSize

DOC = Path(__file__).parents[2] / "docs" / "training.md"
TABLES = {"": TrainConfig, "fine.": FineNetwork, "folder.": FolderOptions}
TABLES |= {"augmentation.": Augmentation, "[[train]] ": SliceFile, "[[views]] ": ViewSize}


def reference():
    """The table, in Markdown."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for prefix, model in TABLES.items():
        for name, field in model.model_fields.items():
            if name in ("augmentation", "fine", "folder", "views", "train") and not prefix:
                continue
            default = "needed" if field.is_required() else f"`{field.default!r}`"
            rows.append(f"| `{prefix}{name}` | {default} | {field.description} |")
    return "\n".join(rows)


@pytest.mark.parametrize("model", TABLES.values())
def test_every_key_says_what_it_means(model):
    assert all(field.description for field in model.model_fields.values())


def test_the_documentation_holds_the_table():
    assert reference() in DOC.read_text(encoding="utf-8"), f"docs/training.md should hold:\n{reference()}"
