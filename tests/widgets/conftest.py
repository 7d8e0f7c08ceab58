"""Fixtures for the tests of the docks."""

from collections.abc import Iterator

import pytest

from napari_lossguide.recon.autosave import Keeping


@pytest.fixture(autouse=True)
def autosave_folder(tmp_path_factory, monkeypatch) -> Iterator:
    """No test writes into the user's own cache."""
    folder = tmp_path_factory.mktemp("autosave")
    monkeypatch.setattr("napari_lossguide.widgets.recovery.keeping", lambda: Keeping(folder=folder))
    return folder
