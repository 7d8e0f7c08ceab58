"""``lossguide batch`` on Dask workers: those of docs/batch.md, on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from batch_files import contents, scans
from dask_cluster import dask, free_port, kill, started
from shell import make_prior, start, with_sources

from napari_lossguide.cli import main
from napari_lossguide.recon.cluster import local_workers
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

pytest.importorskip("distributed", reason="without dask.distributed, batches on several workers are not tested")
pytestmark = pytest.mark.slow


def with_one_thread(argv: list[str]) -> int:
    process = subprocess.run(
        [sys.executable, "-m", "napari_lossguide", *argv],
        env=with_sources() | {"OMP_NUM_THREADS": "1"},
        timeout=500,
        check=False,
    )
    return process.returncode


def test_two_workers_of_a_cluster_give_the_images_of_one_process(tmp_path, batch_recipe, cluster):
    files = scans(tmp_path / "in", 2, 4)
    address = cluster.address
    assert with_one_thread(["batch", batch_recipe, *files, "-o", str(tmp_path / "one")]) == 0
    assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "two"), "--scheduler", address]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "two")) == 8


def test_workers_write_other_formats(tmp_path, batch_recipe, cluster):
    files = scans(tmp_path / "in", 1, 3)
    options = ["--format", ".cfl"]
    assert with_one_thread(["batch", batch_recipe, *files, "-o", str(tmp_path / "one"), *options]) == 0
    to = ["--scheduler", cluster.address]
    assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "two"), *options, *to]) == 0
    assert contents(tmp_path / "one", ".cfl") == contents(tmp_path / "two", ".cfl")
    assert len(contents(tmp_path / "two", ".cfl")) == 3


def test_the_prior_may_be_on_the_workers_alone(tmp_path, monkeypatch, capsys):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    prior = make_prior(there / "own.safetensors")
    files, recipe = scans(tmp_path / "in", 1, 2), tmp_path / "recipe.json"
    recipe.write_text(Recipe.for_method("prox-mean", steps=2, prior="./own.safetensors").to_json())
    command = ["batch", str(recipe), *files, "-o", str(tmp_path / "out")]
    with started() as cluster:
        monkeypatch.chdir(tmp_path)
        assert main(command) == 2
        assert "own.safetensors" in capsys.readouterr().err
        for now in (2, 0):
            assert main([*command, "--scheduler", cluster.address]) == 0
            assert f"run now      {now}" in capsys.readouterr().out
        make_prior(prior, factor=1.5)
        assert main([*command, "--scheduler", cluster.address]) == 0
        assert "run now      2" in capsys.readouterr().out
        prior.unlink()
        assert main([*command, "--scheduler", cluster.address]) == 2


def test_a_worker_that_dies_is_survived(tmp_path, batch_recipe, cluster):
    files = scans(tmp_path / "in", 4, 15)
    address, workers = cluster.address, cluster.workers
    out = tmp_path / "out"
    process = start(["batch", batch_recipe, *files, "-o", str(out), "--scheduler", address])
    while len(list(out.rglob("slice_*.npz"))) < 6:
        assert process.poll() is None
        time.sleep(0.02)
    kill(workers[0])
    assert process.wait(timeout=300) == 0
    assert len(list(out.rglob("slice_*.npz"))) == 60


def test_workers_here(tmp_path, batch_recipe):
    files = scans(tmp_path / "in", 1, 4)
    assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "one"), "--workers", "2"]) == 0
    with np.load(tmp_path / "one" / "scan0" / "slice_0003.npz") as file:
        assert '"threads": 1' in str(file["facts"])


def test_a_worker_without_the_device_ends_the_batch(tmp_path, cluster):
    from distributed import Client

    from napari_lossguide.recon.batch import plan
    from napari_lossguide.recon.cluster import run_on
    from napari_lossguide.recon.recipe import Recipe

    plain = Recipe.for_method("zero-filled")
    pieces, _ = plan(scans(tmp_path / "in", 1, 1), tmp_path / "out", plain)
    with Client(cluster.address, set_as_default=False) as client, pytest.raises(InvalidInput, match="nonsense"):
        list(run_on(client, pieces, plain, device="nonsense"))


def test_without_workers(tmp_path, batch_recipe, capsys):
    files = scans(tmp_path / "in", 1, 1)
    port = free_port()
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    try:
        address, end = f"tcp://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "out"), "--scheduler", address]) == 2
        assert "has no workers; start some with: dask worker" in capsys.readouterr().err
    finally:
        scheduler.kill()
        scheduler.wait(30)


def test_lazy_layers_are_never_computed_on_the_cluster(tmp_path, batch_recipe, capsys, cluster):
    import dask.base
    from distributed import default_client

    files = scans(tmp_path / "in", 1, 1)
    for address, code in (("tcp://127.0.0.1:1", 2), (cluster.address, 0)):
        assert main(["batch", batch_recipe, *files, "-o", str(tmp_path / "out"), "--scheduler", address]) == code
        with pytest.raises(ValueError, match="No client"):
            default_client()
        assert dask.base.get_scheduler() is None


def test_workers_of_this_machine_keep_the_memory_that_a_run_will_need_again():
    """Dask's own setting makes the C library give back each image, which doubles the time of a run."""
    with local_workers(1) as client:
        assert client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_", pure=False).result() is None
