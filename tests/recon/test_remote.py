"""A run on a Dask worker is the run of this machine, on the loopback interface: knobs, pause, cancel, pictures."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from dask_cluster import free_port, kill
from shell import make_prior
from tiny import collect, tiny_scan

from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.remote import Remote
from napari_lossguide.recon.tape import Tape
from napari_lossguide.types import Cancelled, Diverged, InvalidInput

pytest.importorskip("distributed", reason="without dask.distributed, runs on workers are not tested")
pytestmark = pytest.mark.slow
GAMMA, ETA = "guidance.gamma", "sampler.eta"


@pytest.fixture(autouse=True)
def one_thread():
    """As the workers have: other sums give other bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def recipe(tiny_prior):
    def of(steps=6, method="prox-mean", **fields):
        return Recipe.for_method(method, steps=steps, prior=str(tiny_prior), **fields)

    return of


def local(kdata, recipe, **options):
    return collect(reconstruction(kdata, recipe, device="cpu", **options))


def same(a, b):
    """Everything but times and place."""
    for name in ("image", "zero_filled", "mask", "maps", "samples", "mean", "std"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.recipe == b.recipe and repr(a.trace) == repr(b.trace)  # nan among them
    assert (a.status, a.nfe, a.residual, a.noise_std, a.scale) == (b.status, b.nfe, b.residual, b.noise_std, b.scale)
    keys = a.provenance.keys() - {"finished"}
    assert {k: a.provenance[k] for k in keys} == {k: b.provenance[k] for k in keys}


def test_steps_pictures_recording_and_result_are_those_of_this_machine(lasting_cluster, recipe):
    kdata, wanted = tiny_scan(coils=2, slices=2), recipe(samples=2)
    tapes = Tape(), Tape()
    notes: list[str] = []
    remote = Remote(lasting_cluster.address, notes.append)
    found = []
    steps = remote.reconstruction(kdata, wanted, device="cpu", tape=tapes[0])
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            result = stop.value
            break
        found.append((progress, progress.image(), progress.state()))
    progress, expected = local(kdata, wanted, tape=tapes[1])
    same(result, expected)
    assert len(found) == len(progress) == 12
    for (there, image, state), here in zip(found, progress, strict=True):
        for name in ("step", "total", "slice", "slices", "sigma", "residual", "loss", "nfe", "stage", "ends_slice"):
            assert getattr(there, name) == getattr(here, name), name
        np.testing.assert_array_equal(image, here.image())
        np.testing.assert_array_equal(state, here.state())
    assert [f.step for f in tapes[0].frames] == [f.step for f in tapes[1].frames] == list(range(1, 13))
    for step in range(1, 13):
        for state in (True, False):
            np.testing.assert_array_equal(tapes[0].image(step, state=state), tapes[1].image(step, state=state))
    assert remote.machine.startswith("CPU, 1 thread")
    assert notes[0] == f"Connecting to {lasting_cluster.address}…" and any("on the worker" in note for note in notes)


def test_knobs_turned_during_the_run_are_recorded_where_they_took_effect(lasting_cluster, recipe):
    kdata, live = tiny_scan(), Live()
    steps = Remote(lasting_cluster.address).reconstruction(kdata, recipe(300), device="cpu", live=live)
    seen = []
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            result = stop.value
            break
        seen.append((progress.step, progress.params.get(ETA)))
        if progress.step in (3, 5):
            live.update({ETA: progress.step / 10})
    turns = [(c.name, c.value) for c in result.changes]
    assert turns[-1] == (ETA, 0.5) and 3 <= result.changes[-1].step < 300
    assert live.changes == result.changes
    change = result.changes[-1]
    assert dict(seen)[change.step + 1] == 0.5 and dict(seen)[change.step] != 0.5  # steps count from 1
    _, again = local(kdata, result.recipe)
    same(result, again)


def test_a_branch_plays_the_recording(lasting_cluster, recipe):
    kdata, tape = tiny_scan(), Tape()
    remote = Remote(lasting_cluster.address)
    _, parent = collect(remote.reconstruction(kdata, recipe(), device="cpu", tape=tape))
    changed = parent.recipe.model_copy(update={"changes": (*parent.changes, _change(3, 0.2))})
    branch = tape.branch(3)
    played = branch.known
    _, result = collect(remote.reconstruction(kdata, changed, device="cpu", tape=branch))
    same(result, local(kdata, changed)[1])
    assert played == 3 and len(branch.frames) == len(branch.answers) == 6
    again = branch.branch(5)  # and this one can be gone back to as well
    same(collect(remote.reconstruction(kdata, changed, device="cpu", tape=again))[1], result)


def _change(step, value):
    from napari_lossguide.recon.live import Change

    return Change(step=step, name=GAMMA, value=value)


def test_a_recording_with_gradients(lasting_cluster, recipe):
    kdata, wanted = tiny_scan(), recipe(method="dps")
    tape = Tape()
    remote = Remote(lasting_cluster.address)
    collect(remote.reconstruction(kdata, wanted, device="cpu", tape=tape))
    assert all(len(answer.gradients) == 1 for answer in tape.answers)
    _, result = collect(remote.reconstruction(kdata, wanted, device="cpu", tape=tape.branch(4)))
    same(result, local(kdata, wanted)[1])


def test_pause_holds_the_worker_and_resume_lets_it_go_on(lasting_cluster, recipe):
    live = Live()
    kdata, wanted = tiny_scan(), recipe(2000)
    steps = Remote(lasting_cluster.address).reconstruction(kdata, wanted, device="cpu", live=live)
    next(steps)
    live.pause()
    reached: list[int] = [1]
    walker = threading.Thread(target=lambda: reached.extend(p.step for p in steps))
    walker.start()
    last = -1
    while reached[-1] != last:  # those that were under way
        last = reached[-1]
        time.sleep(0.5)
    assert last < 2000 and walker.is_alive()
    live.resume()
    while reached[-1] == last:
        time.sleep(0.05)
    live.cancel()
    walker.join(30)
    assert not walker.is_alive() and reached[-1] < 2000


@pytest.mark.parametrize("paused", [False, True])
def test_cancel(lasting_cluster, recipe, paused):
    live = Live()
    steps = Remote(lasting_cluster.address).reconstruction(tiny_scan(), recipe(3000), device="cpu", live=live)
    first = next(steps)
    assert first.step == 1
    if paused:
        live.pause()
    live.cancel()
    progress, result = collect(steps)
    assert result.status == "cancelled" and len(progress) < 2000
    assert len(result.trace) == len(progress) + 1 and np.abs(result.image).max() > 0


def test_a_generator_that_is_closed_frees_its_worker(lasting_cluster, recipe):
    remote = Remote(lasting_cluster.address)
    for _ in range(2):  # more runs than there are workers
        for _ in range(2):
            steps = remote.reconstruction(tiny_scan(), recipe(5000, samples=50, batch=1), device="cpu")
            next(steps)
            steps.close()
    assert collect(remote.reconstruction(tiny_scan(), recipe(2), device="cpu"))[1].status == "done"


def test_two_runs_at_the_same_time_are_on_two_workers(lasting_cluster, recipe):
    notes: list[str] = []
    remote = Remote(lasting_cluster.address, notes.append)
    live = Live(), Live()
    runs = [
        remote.reconstruction(tiny_scan(), recipe(5000, samples=50, batch=1), device="cpu", live=one) for one in live
    ]
    for run in runs:
        assert next(run).step == 1
    sent = [note for note in notes if note.startswith("Sending the data to")]
    assert len(set(sent)) == 2
    waiting: list[object] = []
    third = Live()
    walker = threading.Thread(
        target=lambda: waiting.append(
            collect(remote.reconstruction(tiny_scan(), recipe(3), device="cpu", live=third))[1].status
        )
    )
    walker.start()
    for _ in range(5):
        for run in runs:
            next(run)
        time.sleep(0.1)
    assert not waiting  # for a free worker
    live[0].cancel()
    assert collect(runs[0])[1].status == "cancelled"
    walker.join(60)
    assert waiting == ["done"]
    live[1].cancel()
    collect(runs[1])


def test_who_waits_for_a_worker_can_cancel(lasting_cluster, recipe):
    remote = Remote(lasting_cluster.address)
    runs = [remote.reconstruction(tiny_scan(), recipe(5000, samples=50, batch=1), device="cpu") for _ in range(2)]
    for run in runs:
        next(run)
    live = Live()
    live.cancel()
    with pytest.raises(Cancelled):
        next(remote.reconstruction(tiny_scan(), recipe(3), device="cpu", live=live))
    for run in runs:
        run.close()


def test_what_the_worker_refuses_is_said_here(lasting_cluster, recipe, tmp_path):
    remote = Remote(lasting_cluster.address)
    with pytest.raises(InvalidInput, match=r"'nonsense' is not available.*On the worker at 'tcp://127"):
        collect(remote.reconstruction(tiny_scan(), recipe(), device="nonsense"))
    live = Live()
    live.update({"guidance.nonsense": 1.0})
    with pytest.raises(InvalidInput, match=r"'guidance\.nonsense' is not a live knob"):
        collect(remote.reconstruction(tiny_scan(), recipe(), live=live))
    wild = Recipe.for_method("prox-mean", steps=4, prior=str(make_prior(tmp_path / "wild.safetensors", 1e30)))
    with pytest.raises(Diverged, match="diverged") as caught:
        collect(remote.reconstruction(tiny_scan(), wild, device="cpu"))
    with pytest.raises(Diverged) as here:
        local(tiny_scan(), wild)
    assert (caught.value.step, caught.value.sigma) == (here.value.step, here.value.sigma)


def test_methods_without_a_prior(lasting_cluster):
    wanted, tape = Recipe.for_method("cg-sense"), Tape()
    progress, result = collect(
        Remote(lasting_cluster.address).reconstruction(tiny_scan(2), wanted, device="cpu", tape=tape)
    )
    same(result, local(tiny_scan(2), wanted)[1])
    assert len(progress) == len(result.trace) and not tape.frames


def test_a_picture_is_kept_for_one_step(lasting_cluster, recipe):
    live = Live()
    steps = Remote(lasting_cluster.address).reconstruction(tiny_scan(), recipe(5000), device="cpu", live=live)
    first = next(steps)
    first.image()
    while next(steps).step < 200:
        pass
    with pytest.raises(InvalidInput, match="no longer on the worker"):
        first.image()
    live.cancel()
    collect(steps)


def test_no_client_is_the_default_one(lasting_cluster, recipe):
    import dask.base
    from distributed import default_client

    steps = Remote(lasting_cluster.address).reconstruction(tiny_scan(), recipe(), device="cpu")
    next(steps)
    for _ in range(2):
        with pytest.raises(ValueError, match="No client"):
            default_client()
        assert dask.base.get_scheduler() is None
        collect(steps) if steps.gi_frame else None


def test_nobody_answers(recipe):
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(InvalidInput, match=f"No Dask scheduler answers at '{address}'.*dask scheduler"):
        collect(Remote(address).reconstruction(tiny_scan(), recipe()))


def test_a_worker_that_is_killed_ends_the_run_with_a_sentence(cluster, recipe):
    notes: list[str] = []
    remote = Remote(cluster.address, notes.append)
    steps = remote.reconstruction(tiny_scan(), recipe(5000, samples=50, batch=1), device="cpu")
    next(steps)
    for worker in cluster.workers:
        kill(worker)
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match=r"The Dask worker at 'tcp://127.* has ended, and the run is lost with it"):
        collect(steps)
    assert time.monotonic() - begun < 20  # long before Dask itself gives up


def test_a_scheduler_that_is_killed_ends_the_run_with_a_sentence(cluster, recipe):
    steps = Remote(cluster.address).reconstruction(tiny_scan(), recipe(5000, samples=50, batch=1), device="cpu")
    next(steps)
    kill(cluster.scheduler)
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match=f"The connection to the Dask scheduler at '{cluster.address}' was lost"):
        collect(steps)
    assert time.monotonic() - begun < 60
