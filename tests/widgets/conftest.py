"""Fixtures for the tests of the docks."""

from collections.abc import Iterator

import pytest
from napari.components import ViewerModel

from napari_lossguide.recon.autosave import Keeping


@pytest.fixture(autouse=True)
def autosave_folder(tmp_path_factory, monkeypatch) -> Iterator:
    """No test writes into the user's own cache."""
    folder = tmp_path_factory.mktemp("autosave")
    monkeypatch.setattr("napari_lossguide.widgets.recovery.keeping", lambda: Keeping(folder=folder))
    return folder


@pytest.fixture
def viewer():
    """Layers without a window."""
    return ViewerModel()


@pytest.fixture
def images(viewer):
    """Two results of one scan."""
    from widgets.compared import add_images

    return add_images(viewer)


@pytest.fixture
def compare_dock(qtbot, viewer, images):
    """The Compare dock beside them."""
    from napari_lossguide.widgets.compare_dock import CompareDock

    widget = CompareDock(viewer)
    qtbot.addWidget(widget)
    return widget
