"""Fixtures for all tests. Imports neither torch nor Qt, so that the fresh-process import tests stay honest."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data that is not part of the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LOSSGUIDE_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"the shared data is not at {folder} (set LOSSGUIDE_SHARED_DATA): real data not tested")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240)


@pytest.fixture
def global_numpy_state_untouched() -> Iterator[None]:
    """Fails the test if it used or seeded numpy's global random generator."""
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    yield
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, before)
