"""Fixtures for all tests. Imports neither torch nor Qt, so that the fresh-process import tests stay honest."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Cluster, started


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


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network, small enough to run a hundred steps in a second."""
    from shell import make_prior

    return make_prior(tmp_path_factory.mktemp("prior") / "tiny.safetensors")


@pytest.fixture
def batch_recipe(tmp_path: Path, tiny_prior: Path) -> str:
    """File of a recipe with that prior: two steps, two samples."""
    from napari_lossguide.recon.recipe import Recipe

    path = tmp_path / "recipe.json"
    path.write_text(Recipe.for_method("prox-mean", steps=2, prior=str(tiny_prior), samples=2).to_json())
    return str(path)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two Dask workers for one test, which may kill them."""
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def lasting_cluster() -> Iterator[Cluster]:
    """Two Dask workers for the tests of a file, which leave them alive."""
    with started() as found:
        yield found
