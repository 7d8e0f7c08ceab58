"""napari's preferences of the plugin: the manifest says what the model says, and each of them has an effect."""

import os
from pathlib import Path
from typing import get_args

import napari.settings
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest
from tiny import tiny_scan, tiny_unet
from widgets.fake_engine import FakeEngine

from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.autosave import Keeping
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import io, layers, reconstruct_dock, run_dock, worker
from napari_lossguide.widgets.reconstruct_dock import ReconstructDock
from napari_lossguide.widgets.sample_dock import SampleDock
from napari_lossguide.widgets.settings import GROUPS, MB, Settings, read_settings

MANIFEST = PluginManifest.from_file(Path(io.__file__).parents[1] / "napari.yaml")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The plugin's preferences as napari keeps them, in a folder of their own."""
    monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})
    manager = PluginManager.instance()
    known = "napari-lossguide" in manager
    if not known:
        manager.register(MANIFEST)
    yield napari.settings.get_plugin_settings("napari-lossguide", path_dir=tmp_path / "config")
    if not known:
        manager.unregister("napari-lossguide")


@pytest.fixture
def dock(qtbot, monkeypatch, kept, tmp_path):
    kept.files.cache_folder = str(tmp_path / "mine")
    network, path = tiny_unet(), tmp_path / "tiny.safetensors"
    save_prior(path, network.state_dict(), network.config, {"name": "tiny", "sigma_data": 0.25})
    monkeypatch.setattr("napari_lossguide.widgets.prior_choice.PriorChoice.value", lambda self: str(path))
    monkeypatch.setattr(reconstruct_dock, "start_reconstruction", FakeEngine())
    viewer = ViewerModel()
    layers.add_kspace(viewer, tiny_scan(slices=1))
    widget = ReconstructDock(viewer)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def run(qtbot, dock):
    dock.panel.button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=30_000)


def test_the_manifest_says_what_the_model_says():
    found = MANIFEST.contributions.configurations
    assert tuple(found) == GROUPS
    properties = {name: p for group in found.values() for name, p in group.properties.items()}
    assert list(properties) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        said, limits = properties[name], {type(m).__name__: m for m in field.metadata}
        assert (said.title, said.description, said.default) == (field.title, field.description, field.default), name
        assert said.enum == (list(get_args(field.annotation)) or None), name
        assert said.python_type is type(field.default), name
        assert said.minimum == (limits["Ge"].ge if "Ge" in limits else None), name
        assert said.maximum == (limits["Le"].le if "Le" in limits else None), name


def test_what_napari_keeps_is_what_is_read(kept):
    assert read_settings() == Settings()
    kept.runs.device, kept.runs.preview_rate, kept.files.autosave = "cpu", 5, False
    assert read_settings() == Settings(device="cpu", preview_rate=5, autosave=False)
    with pytest.raises(ValueError, match="not one of the allowed"):
        kept.runs.device = "abacus"


def test_a_script_without_napari_s_plugins_gets_the_defaults(monkeypatch):
    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr("napari_lossguide.widgets.settings.get_plugin_settings", unknown)
    assert read_settings() == Settings()


def test_the_page_in_napari_s_preferences_can_be_filled_in(kept, qtbot, monkeypatch):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    pages = [dialog._list.item(i).text() for i in range(dialog._list.count())]
    assert pages[-1] == "napari-lossguide"
    dialog.reject()


def test_docks_open_with_the_device(kept, qtbot):
    kept.runs.device = "cpu"
    for dock in (ReconstructDock(ViewerModel()), SampleDock(ViewerModel())):
        qtbot.addWidget(dock)
        assert dock.settings.device.currentData() == "cpu"


def test_pictures_come_at_the_preview_rate(dock, qtbot, kept, monkeypatch):
    rates = []

    class Spied(worker.Job):
        def __init__(self, *args, **how):
            rates.append(how["rate"])
            super().__init__(*args, **how)

    monkeypatch.setattr(run_dock, "Job", Spied)
    for rate in (5, 30):
        kept.runs.preview_rate = rate
        run(qtbot, dock)
    assert rates == [5, 30], "read anew for each run"


def test_a_recording_that_outgrows_its_memory_goes_to_the_folder(dock, qtbot, kept, tmp_path):
    run(qtbot, dock)
    assert dock._history.tape.store.file is None
    kept.runs.recording_memory = 0
    run(qtbot, dock)
    store = dock._history.tape.store
    assert store.folder == tmp_path / "mine" / "recordings" and store.file is not None
    assert dock._history.tape.image(3, state=False).max() == 3
    left = os.listdir(store.folder)
    store.file.close()
    assert os.listdir(store.folder) == [] and len(left) <= 1, "the system ends it with the run's"


def test_results_are_autosaved_if_wanted(dock, qtbot, kept, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_lossguide.widgets.recovery.keeping", lambda: read_settings().keeping())
    sessions = tmp_path / "mine" / "autosave"
    kept.files.autosave = False
    run(qtbot, dock)
    qtbot.wait(200)
    assert not sessions.exists()
    kept.files.autosave, kept.files.autosave_size, kept.files.autosave_days = True, 7, 3
    run(qtbot, dock)
    qtbot.waitUntil(lambda: len(list(sessions.glob("*/*.npz"))) == 1, timeout=10_000)
    (path,) = sessions.glob("*/*.npz")
    layer = io.get_reader(str(path))(str(path))[-1]
    result = next(x for x in dock._viewer.layers if x.metadata["lossguide"]["role"] == "result")
    assert layer[0].shape == result.data.shape
    assert read_settings().keeping() == Keeping(True, sessions, 7 * MB, 3)


def test_a_folder_that_cannot_be_used_is_said_before_the_run(dock, qtbot, kept, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    kept.files.cache_folder = str(tmp_path / "file")
    dock.panel.button.click()
    assert not dock.running
    assert "of the preferences cannot be used" in dock.status.sentence and "Preferences" in dock.status.sentence


def test_downloads_go_to_the_folder(kept, tmp_path, monkeypatch):
    asked = []
    kept.files.cache_folder = str(tmp_path / "mine")
    monkeypatch.setattr(io.samples, "sigpy_brain", lambda cache: asked.append(cache) or tiny_scan(slices=1))
    io.sample_sigpy_brain()
    assert asked == [tmp_path / "mine" / "downloads"]


def test_the_home_folder_and_empty_places(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Settings().place("downloads") is None and Settings(cache_folder="  ").place("downloads") is None
    assert Settings(cache_folder="~/mri").place("results") == tmp_path / "mri" / "results"
    assert Settings(cache_folder="mri").place("results") == tmp_path / "mri" / "results", "not where napari was started"
    with pytest.raises(InvalidInput, match="of the preferences cannot be used"):
        Settings(cache_folder="~nobody-of-this-name/mri").place("results")
