"""Pieces of a batch on the workers of a Dask cluster, on this machine or on others (dask.distributed).

A worker reads the slice and writes its result by itself, so that nothing large goes over the wire: workers must see the
files and the folder under the same paths. A worker that dies loses the piece it was at, which another one takes over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_lossguide.recon.batch import Line, Piece, pinned, run_piece
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import Denoiser, InvalidInput

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = 10  # seconds to wait for a scheduler
# No client here becomes Dask's own default: napari computes its lazy layers with that, and would wait for the cluster.
# Dask lets its workers give memory back early; each image is then mapped and cleared anew: a run takes twice as long.
ALLOCATOR = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
QUIET = logging.ERROR  # that workers come and go is no news to a person who asked for some
DEATHS = 3  # of workers that a piece may cost before it is given up


def run_on(client: Client, pieces: Sequence[Piece], recipe: Recipe, device: str = "auto") -> Iterator[Line]:
    """Pieces on a cluster; lines come as they are done, in any order. What is left is cancelled when it is closed.

    Parameters
    ----------
    client : connected to the scheduler.
    pieces : what to do.
    recipe : of the batch.
    device : auto, cpu, cuda or mps, of each worker.

    Raises
    ------
    InvalidInput
        If a worker lacks the device, the prior or the method's program, or cannot write.
    """
    from distributed import as_completed

    text = recipe.to_json()
    futures: dict[Future, Piece] = {
        client.submit(work, piece, text, device, key=f"lossguide-{piece.key}", pure=False): piece for piece in pieces
    }
    try:
        for future in as_completed(list(futures), loop=client.loop):
            piece = futures.pop(future)
            yield _line(future, piece)
    finally:
        client.cancel(list(futures))


def pinned_there(client: Client, recipe: Recipe) -> Recipe:
    """The recipe with the checksum of its prior as a worker has it, where it is not on this machine.

    Raises
    ------
    InvalidInput
        If the worker that was asked does not have it either.
    """
    return Recipe.from_json(client.submit(_pinned, recipe.to_json(), pure=False).result())


def _pinned(recipe: str) -> str:
    return pinned(Recipe.from_json(recipe)).to_json()


def _line(future: Future, piece: Piece) -> Line:
    """What a worker said; a fault of the program is raised, a death is a line."""
    from distributed import KilledWorker

    try:
        line: Line = future.result()
    except KilledWorker as error:
        return Line(piece.path, piece.slice, "failed", f"{DEATHS + 1} workers died of it ({error}).")
    return line


def work(piece: Piece, recipe: str, device: str) -> Line:
    """One piece, in a worker, which keeps the prior open for the next one."""
    parsed = Recipe.from_json(recipe)
    return run_piece(piece, parsed, device, kept_prior(parsed, device))


def kept_prior(recipe: Recipe, device: str) -> Denoiser | None:
    """The prior of a recipe, in a worker, which keeps the last one open; None if the method needs none."""
    from distributed import get_worker

    from napari_lossguide.recon.diffusion import open_prior
    from napari_lossguide.recon.methods import method
    from napari_lossguide.recon.run import choose_device

    chosen = choose_device(device)
    if not method(recipe.method).ready().needs_prior:
        return None
    worker: Any = get_worker()
    wanted = (recipe.prior, recipe.prior_sha256, device)
    held = getattr(worker, "lossguide_prior", None)
    if held is None or held[0] != wanted:
        held = worker.lossguide_prior = (wanted, open_prior(recipe, chosen))
    prior: Denoiser = held[1]
    return prior


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of a scheduler ("tcp://127.0.0.1:8786").

    Raises
    ------
    InvalidInput
        If distributed is not installed, nobody answers, or there is no worker.
    """
    distributed = _distributed()
    if not address.strip():  # Dask would start a cluster of its own
        raise InvalidInput("The address of the Dask scheduler is empty; it looks like tcp://127.0.0.1:8786.")
    try:
        client = distributed.Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InvalidInput(
            f"No Dask scheduler answers at '{address}' ({error}); start one with: dask scheduler"
        ) from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise InvalidInput(
                f"The scheduler at '{address}' has no workers; start some with: dask worker {address} --nthreads 1"
            )
        yield client


@contextmanager
def local_workers(count: int) -> Iterator[Client]:
    """Worker processes on this machine, each with one thread, and with a GPU of its own where there are GPUs.

    Raises
    ------
    InvalidInput
        If distributed is not installed.
    """
    distributed = _distributed()
    import dask
    import torch

    gpus = torch.cuda.device_count()
    workers = {}
    for index in range(count):
        env = {"CUDA_VISIBLE_DEVICES": str(index % gpus)} if gpus else {"OMP_NUM_THREADS": "1"}
        options = {"nthreads": 1, "env": env, "memory_limit": 0, "dashboard": False, "silence_logs": QUIET}
        workers[index] = {"cls": distributed.Nanny, "options": options}
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "host": "127.0.0.1"}}
    with (
        dask.config.set(ALLOCATOR),
        distributed.SpecCluster(scheduler=scheduler, workers=workers, silence_logs=QUIET) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(count)
        yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InvalidInput('Dask workers need dask.distributed: pip install "napari-lossguide[cluster]".') from error
    return distributed
