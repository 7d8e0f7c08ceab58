"""The connection of the main machine to a Dask cluster, and one run on one of its workers."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from napari_lossguide import __version__
from napari_lossguide.recon import remote_worker as there
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.tape_parts import Scene
from napari_lossguide.types import Diverged, InvalidInput

if TYPE_CHECKING:
    from distributed import Client

POLL = 0.05  # seconds between two exchanges
SILENCE = 30.0  # seconds without an answer after which a worker, or the scheduler, counts as lost
LOOK = 1.0  # seconds without an answer after which the scheduler is asked whether the worker is still there
CHUNK = 2 * 10**6  # bytes of the recording at a time


class Lines:
    """The connection to a cluster.

    Parameters
    ----------
    client, address : of its scheduler.
    """

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address
        self.worker = ""  # that has the run

    def ask(self, function: Callable[..., Any], *args: Any, worker: str = "", timeout: float | None = SILENCE) -> Any:
        """Call a function in the event loop of a worker, that of the run if none is named.

        Raises
        ------
        OSError
            If there is no answer.
        """
        chosen = worker or self.worker

        async def call() -> Any:
            asked = asyncio.ensure_future(self.client.run(function, *args, workers=[chosen]))
            try:
                while not (await asyncio.wait({asked}, timeout=LOOK))[0]:
                    if chosen not in await self.client.nthreads():  # Dask would go on knocking for half a minute
                        raise OSError(f"{chosen} is no longer a worker")
                return asked.result()
            finally:
                asked.cancel()

        return self._wait(call, timeout)[chosen]

    def _wait(self, call: Callable[[], Any], timeout: float | None = SILENCE) -> Any:
        try:
            return self.client.sync(call, callback_timeout=timeout)
        except ImportError as error:
            raise InvalidInput(
                f"The worker at '{self.worker or self.address}' lacks a package ({error}); install napari-lossguide "
                f"{__version__} where it runs."
            ) from error
        except RuntimeError as error:  # the loop or the client is closed
            raise OSError(str(error)) from error

    def free(self, but: str = "") -> list[str]:
        """Addresses of workers that have nothing to do, but for a task of this name."""

        async def call() -> tuple[dict[str, int], dict[str, Any]]:
            return await self.client.nthreads(), await self.client.processing()

        threads, tasks = self._wait(call)
        busy = {worker: sum(str(task) != but for task in own) for worker, own in tasks.items()}
        return [worker for worker, count in sorted(threads.items()) if busy.get(worker, 0) < count]

    @contextlib.contextmanager
    def run(self, parcel: there.Parcel, live: Live, say: Callable[[str], object]) -> Iterator[Call]:
        """A run on a free worker, once there is one; it ends there when it ends here."""
        say("Waiting for a free worker…")
        while True:
            call = self._begun(parcel, live, say)
            if call is not None:
                break
            time.sleep(POLL)
            live.checkpoint()
        try:
            yield call
        finally:
            call.end()

    def _begun(self, parcel: there.Parcel, live: Live, say: Callable[[str], object]) -> Call | None:
        """A run that has begun; None if no worker is free, or somebody else was quicker."""
        ident = uuid.uuid4().hex
        free = self.free()
        if not free:
            return None
        self.worker = free[int(ident, 16) % len(free)]  # two who ask at the same time rarely get the same one
        version = self.ask(there.version)
        if version != __version__:
            raise InvalidInput(
                f"The worker at '{self.worker}' has napari-lossguide {version}, and this machine {__version__}; "
                "install the same version."
            )
        say(f"Sending the data to {self.worker}…")
        call = Call(self, ident, parcel)
        try:
            if call.begins():
                return call
        except BaseException:
            call.end()
            raise
        call.end()
        return None

    def lost(self, error: Exception) -> NoReturn:
        """Say which of the worker and the scheduler was lost.

        Raises
        ------
        InvalidInput
            Always.
        """
        try:
            here = self.worker in self._wait(self.client.nthreads, 5.0)
        except (OSError, InvalidInput):
            raise InvalidInput(
                f"The connection to the Dask scheduler at '{self.address}' was lost, and the run with it."
            ) from error
        what = "does not answer any more" if here else "has ended"
        raise InvalidInput(
            f"The Dask worker at '{self.worker}' {what}, and the run is lost with it; Run begins it anew."
        ) from error


class Call:
    """One run on the worker of a connection."""

    def __init__(self, lines: Lines, ident: str, parcel: there.Parcel) -> None:
        self.lines, self.ident = lines, ident
        client, where = lines.client, {"workers": [lines.worker]}
        self.data = client.scatter([parcel], hash=False, direct=False, **where)[0]
        # It must not begin anew on another worker when its own dies: it would be another run.
        options = {"pure": False, "retries": 0, "allow_other_workers": False, **where}
        self.task = client.submit(there.work, ident, self.data, key=f"lossguide-run-{ident}", **options)

    def begins(self) -> bool:
        """Wait until the worker has it; False if it is at somebody else's work."""
        end = time.monotonic() + SILENCE
        while time.monotonic() < end:
            if self.lines.ask(there.has, self.ident):
                return True
            if self.task.status in ("error", "cancelled", "lost"):
                raise OSError(f"the task was {self.task.status}")
            if time.monotonic() > end - SILENCE + 1 and self.lines.worker not in self.lines.free(but=self.task.key):
                return self.lines.ask(there.has, self.ident)
            time.sleep(POLL / 5)
        raise OSError("the task did not begin")

    def exchange(self, live: Live, seen: int) -> there.News:
        """Send how the knobs stand, get what has happened; `live` follows the changes that took effect."""
        order = there.Order(seen, live.take(), live.paused, live.cancelled)
        news: there.News | None = self.lines.ask(there.exchange, self.ident, order)
        if news is None:
            raise OSError("the worker has begun anew")
        live.follow(news.changes)
        return news

    def picture(self, number: int, what: str) -> np.ndarray:
        """The estimate ("image") or the noisy state of a step.

        Raises
        ------
        InvalidInput
            If a later step has been asked for, or the worker is lost.
        """
        try:
            found: np.ndarray | None = self.lines.ask(there.picture, self.ident, number, what)
        except OSError as error:
            self.lines.lost(error)
        if found is None:
            raise InvalidInput(f"The {what} of step {number + 1} is no longer on the worker; it is kept for one step.")
        return found

    def recording(self, first: int) -> list[Scene]:
        """Some steps of the recording, from one on."""
        found: list[Scene] = self.lines.ask(there.recording, self.ident, first, CHUNK)
        return found

    def result(self) -> Result:
        """The result; raises what the run has raised."""
        found: Result | there.Fault | None = self.lines.ask(there.outcome, self.ident, timeout=None)
        if found is None:
            raise OSError("the worker has begun anew")
        if isinstance(found, Result):
            return found
        if found.kind == "diverged":
            raise Diverged(found.step, found.sigma, found.image)
        if found.kind == "invalid":
            raise InvalidInput(f"{found.text} (On the worker at '{self.lines.worker}'.)")
        raise RuntimeError(f"on the worker at '{self.lines.worker}': {found.text}")

    def end(self) -> None:
        """Stop the run if it goes on, and let go of what the worker keeps of it."""
        with contextlib.suppress(OSError, InvalidInput):  # it is gone, or gives the run up by itself
            self.lines.ask(there.forget, self.ident, timeout=5.0)
        self.task.release()
        self.data.release()
