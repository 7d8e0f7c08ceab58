"""Programs of others that a method runs: found, asked for their version, started, watched and stopped."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_lossguide.types import InvalidInput

POLL = 0.05  # seconds between two looks at whether the person has cancelled
ASKING = 20.0  # seconds that a program may take to say its version
LOG = "log.txt"
SAID = 300  # characters of what a program said last


@dataclass(frozen=True)
class Program:
    """One program that is installed apart from this package.

    Attributes
    ----------
    name : of the executable.
    title : what people call it.
    folders : environment variables that may name the folder it lies in; the first that is set decides, else PATH.
    ask : arguments that make it print its version.
    get : how to get it, as the end of a sentence.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    ask: tuple[str, ...]
    get: str

    def place(self) -> tuple[str, str | None]:
        """Where it is looked for, in words, and the folders of a search path; None: those of PATH."""
        for variable in self.folders:
            folder = os.environ.get(variable, "")
            if folder:
                return f"in {folder}, which {variable} names", folder
        return "on the PATH", None

    def find(self) -> str | None:
        """Path of the executable; None if it is not there."""
        return shutil.which(self.name, path=self.place()[1])

    def missing(self) -> str:
        """What is missing, and how to get it, in a sentence; empty if the program is there."""
        if self.find() is not None:
            return ""
        return (
            f"the program '{self.name}' ({self.title}) was not found {self.place()[0]}, on the machine "
            f"{platform.node() or 'of this run'}; {self.get}"
        )

    def version(self) -> str:
        """What it calls itself; "unknown" if it does not say."""
        path = self.find()
        try:
            said = subprocess.run(
                [path or self.name, *self.ask],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASKING,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return "unknown"
        return said.stdout.decode("utf-8", "replace").strip() or "unknown"

    def run(self, arguments: Sequence[str], folder: Path, threads: int, checkpoint: Callable[[], None]) -> None:
        """Run it in a folder and wait for its end.

        Parameters
        ----------
        arguments : after its name.
        folder : where it runs, and where what it says is kept.
        threads : that it may compute with.
        checkpoint : called all the while; if it raises, the program is killed.

        Raises
        ------
        InvalidInput
            If it cannot be started or fails; the sentence has what it said last.
        """
        path = self.find()
        if path is None:
            raise InvalidInput(f"Here {self.missing()}.")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        with open(folder / LOG, "wb") as log:
            try:
                process = subprocess.Popen(
                    [os.path.abspath(path), *arguments],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # so that what it starts is stopped with it
                )
            except OSError as error:
                raise InvalidInput(f"{path} cannot be started: {error.strerror or error}.") from error
            try:
                watch(process, checkpoint)
            finally:
                stop(process)
        if process.returncode:
            raise InvalidInput(f"{self.title} ({' '.join(arguments[:1])}) {ended(process.returncode, folder / LOG)}")


def watch(process: subprocess.Popen[bytes], checkpoint: Callable[[], None]) -> None:
    """Wait for the end of a process, looking up between."""
    while True:
        checkpoint()
        try:
            process.wait(POLL)
        except subprocess.TimeoutExpired:
            continue
        return


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that still runs, with all that it started."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def ended(code: int, log: Path) -> str:
    """How a process ended that failed, with the end of what it said."""
    said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())[-SAID:]
    how = f"was stopped by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return f"{how}{': ' + said.rstrip('.') if said else ', and said nothing'}."


BART = Program(
    "bart",
    "BART",
    ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"),
    ("version",),
    "install it (https://mrirecon.github.io/bart; 'apt install bart' on Debian and Ubuntu), or let BART_TOOLBOX_PATH "
    "name its folder",
)
