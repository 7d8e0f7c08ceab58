"""A method that another program computes: found or missed in words, fed, watched, stopped. A fake stands for BART."""

import os
import platform
import tempfile
import threading
import time
from pathlib import Path

import fake_bart
import numpy as np
import pytest
import torch
from tiny import collect, tiny_scan

from napari_lossguide.data.phantoms import simulate
from napari_lossguide.recon.axes import Axis
from napari_lossguide.recon.batch import plan, run_here
from napari_lossguide.recon.catalogue import catalogue, method_facts
from napari_lossguide.recon.engine import reconstruct, reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.methods import METHODS, here
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.sweep import sweep
from napari_lossguide.recon.variables import variables
from napari_lossguide.types import InvalidInput

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the fake BART is a script: nothing of pics is tried")
PICS = "bart-pics"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder in which temporary ones are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without BART."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    for variable in METHODS[PICS].program.folders:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def fake(tmp_path, monkeypatch, temporary, nowhere):
    """Make a fake BART that does something, and let it be found."""

    def make(behaviour=fake_bart.ZERO_FILLED):
        made = fake_bart.fake_bart(tmp_path / "fake", behaviour)
        monkeypatch.setenv("PATH", str(made.folder))
        return made

    return make


def run(kdata, live=None, **settings):
    recipe = Recipe.for_method(PICS, settings={f"guidance.{k}": v for k, v in settings.items()})
    return reconstruction(kdata, recipe, maps=kdata.maps, device="cpu", live=live)


def test_bart_gets_the_scan_and_its_image_is_on_the_inputs_scale(fake):
    made, kdata = fake(), tiny_scan(3, slices=2)
    progress, out = collect(run(kdata))
    expected = reconstruct(kdata, maps=kdata.maps, method="zero-filled", device="cpu")
    np.testing.assert_allclose(out.image, expected.image, atol=1e-5)
    assert [(p.step, p.total, p.slice) for p in progress] == [(1, 2, 0), (2, 2, 1)]
    assert out.status == "done" and out.provenance["bart"] == "v9.9-fake"
    assert "bart" not in expected.provenance
    assert len(made.calls()) == 2


ASKED = [
    ({}, ["-R", "W:3:0:0.005", "-i", "200"]),
    ({"cycle_spinning": False, "iterations": 7}, ["-R", "W:3:0:0.005", "-n", "-i", "7"]),
    ({"regularizer": "tv", "regularization": 1e-6}, ["-R", "T:3:0:1e-06", "-u", "0.2", "-C", "5", "-i", "200"]),
    ({"regularizer": "l2", "regularization": 0.1}, ["-l2", "-r", "0.1", "-i", "50"]),
]


@pytest.mark.parametrize(("settings", "arguments"), ASKED)
def test_knobs_become_arguments(fake, settings, arguments):
    made = fake()
    collect(run(tiny_scan(3), **settings))
    files = ["-w", "1", "-p", "pattern", "kspace", "maps", "image"]
    assert made.calls()[0]["args"] == ["pics", *arguments, *files]


def test_a_real_image_is_asked_for_as_one_and_threads_are_passed_on(fake):
    made, kdata = fake(), tiny_scan()
    _, out = collect(run(kdata))
    assert "-c" in made.calls()[0]["args"] and not out.image.imag.any()
    assert made.calls()[0]["threads"] == str(torch.get_num_threads())


def test_nothing_is_left_behind(fake, temporary):
    for behaviour in (fake_bart.ZERO_FILLED, fake_bart.FAIL, fake_bart.SILENT):
        made = fake(behaviour)
        before = len(made.calls())
        try:
            collect(run(tiny_scan()))
        except InvalidInput:
            assert behaviour != fake_bart.ZERO_FILLED
        assert Path(made.calls()[before]["cwd"]).parent == temporary
        assert list(temporary.iterdir()) == []


def test_a_failure_is_told_in_its_words(fake):
    fake(fake_bart.FAIL)
    with pytest.raises(InvalidInput, match=r"BART \(pics\) failed with exit code 3: .*sensitivities do not match!"):
        collect(run(tiny_scan()))


def test_a_program_that_leaves_no_image_is_found_out(fake):
    fake(fake_bart.SILENT)
    with pytest.raises(InvalidInput, match="left no image"):
        collect(run(tiny_scan()))


def test_of_a_stack_the_other_slices_are_kept(fake):
    once = "if sum(1 for _ in open(calls)) == 2: sys.exit('out of luck')\n"
    fake(once + fake_bart.ZERO_FILLED)
    _, out = collect(run(tiny_scan(2, slices=3)))
    assert list(out.failed) == [1] and "out of luck" in out.failed[1]
    assert np.isfinite(out.image[[0, 2]]).all() and np.isnan(out.image[1]).all()


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: killed processes are not looked for")
@pytest.mark.parametrize("how", ["cancel", "pause and cancel"])
def test_cancel_kills_it_with_all_that_it_started(fake, temporary, how):
    made, live, kept = fake(fake_bart.HANG), Live(), []
    thread = threading.Thread(target=lambda: kept.append(collect(run(tiny_scan(), live=live))))
    thread.start()
    try:
        child = made.folder / "child"
        for _ in range(400):
            if child.exists() and child.read_text():
                break
            time.sleep(0.05)
        pids = [made.calls()[0]["pid"], int(child.read_text())]
        assert all(map(alive, pids))
        if how != "cancel":
            live.pause()
    finally:
        live.cancel()
        thread.join(20)
    assert not thread.is_alive()
    assert kept[0][1].status == "cancelled" and not kept[0][1].image.any()
    for _ in range(100):  # the child's end is the system's business
        if not any(map(alive, pids)):
            break
        time.sleep(0.05)
    assert not any(map(alive, pids)) and list(temporary.iterdir()) == []


@pytest.mark.parametrize("variable", ["BART_TOOLBOX_PATH", "TOOLBOX_PATH"])
def test_the_variables_of_bart_name_its_folder(tmp_path, monkeypatch, temporary, nowhere, variable):
    made = fake_bart.fake_bart(tmp_path / "toolbox")
    assert METHODS[PICS].missing()
    monkeypatch.setenv(variable, str(made.folder))
    assert not METHODS[PICS].missing()
    collect(run(tiny_scan()))
    assert len(made.calls()) == 1
    monkeypatch.setenv("BART_TOOLBOX_PATH", str(tmp_path))  # the first that is set decides: no other BART is taken
    monkeypatch.setenv("PATH", str(made.folder))
    assert f"in {tmp_path}, which BART_TOOLBOX_PATH names" in METHODS[PICS].missing()


MISSING = r"^The method 'bart-pics' cannot run: the program 'bart' \(BART\) was not found on the PATH, .*install it"


@pytest.mark.usefixtures("nowhere")
class TestWithoutTheProgram:
    def test_a_recipe_can_be_read_and_says_what_it_lacks_when_it_is_run(self):
        recipe = Recipe.from_json(Recipe.for_method(PICS).to_json())
        with pytest.raises(InvalidInput, match=MISSING):
            next(reconstruction(tiny_scan(), recipe, device="cpu"))

    def test_it_is_offered_nowhere(self):
        assert PICS not in [m.name for m in here()] and "cg-sense" in [m.name for m in here()]
        assert PICS not in variables(Recipe.for_method("tv"))["method"].choices
        listed = catalogue()
        assert PICS not in [m["name"] for m in listed["methods"]]
        assert set(listed["missing"]) == {PICS} and "install it" in listed["missing"][PICS]
        assert method_facts(METHODS[PICS])["needs"] == ["k-space", "the program bart"]

    def test_a_sweep_says_so_before_it_begins(self):
        with pytest.raises(InvalidInput, match=MISSING):
            sweep(tiny_scan(), Recipe.for_method("tv", steps=2), Axis.of("method", ["tv", PICS]), device="cpu")

    def test_a_batch_stops_at_once_and_keeps_no_failure(self, tmp_path):
        path = tmp_path / "scan.npy"
        np.save(path, simulate(np.eye(16, dtype=np.float32)).kspace)
        recipe = Recipe.for_method(PICS)
        pieces, _ = plan([path], tmp_path / "out", recipe)
        with pytest.raises(InvalidInput, match=MISSING):
            list(run_here(pieces, recipe, "cpu"))
        assert not (tmp_path / "out").exists()

    def test_a_worker_of_a_cluster_says_which_machine_lacks_it(self):
        cluster = pytest.importorskip("napari_lossguide.recon.cluster", reason="workers are not asked")
        pytest.importorskip("distributed", reason="without Dask, workers are not asked")
        with pytest.raises(InvalidInput, match=f"{MISSING[:-12]}on the machine {platform.node()}; install it"):
            cluster.kept_prior(Recipe.for_method(PICS), "cpu")


def test_with_the_program_it_is_offered(fake):
    fake()
    assert PICS in [m.name for m in here()] and PICS in variables(Recipe.for_method("tv"))["method"].choices
    assert catalogue()["missing"] == {}


@pytest.mark.parametrize("wrongly", [True, False])
def test_a_bart_that_modulates_the_data_wrongly_is_found_out_and_made_up_for(fake, wrongly):
    """BART 0.8 shifts the image of an odd size; a later one need not."""
    head, tail = fake_bart.ZERO_FILLED.split("image = ")
    factor = "np.exp(4j * np.pi * (np.arange(n) - n // 2 / 2) * (n // 2) / n)"
    modulated = f"f = [{factor} for n in y.shape[:2]]\ny = y * (f[0][:, None] * f[1])[..., None]\n"
    made, kdata = fake(head + modulated * wrongly + "image = " + tail), tiny_scan(2, shape=(23, 26))
    _, out = collect(run(kdata))
    expected = reconstruct(kdata, maps=kdata.maps, method="zero-filled", device="cpu")
    np.testing.assert_allclose(out.image, expected.image, atol=1e-5)
    assert len(made.calls()) == 2


def test_an_image_that_does_not_fit_the_data_is_refused(fake):
    fake(fake_bart.ZERO_FILLED.replace("image = (", "image = (-1000 * "))
    with pytest.raises(InvalidInput, match="worse than a black one"):
        collect(run(tiny_scan()))
