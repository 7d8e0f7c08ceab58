"""What a person sets once, in napari's preferences: read anew for each run, kept by napari.

The manifest's `configurations` say the same as this model: napari makes its page from them.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from napari.settings import get_plugin_settings
from pydantic import BaseModel, ConfigDict, Field

from napari_lossguide.recon.autosave import Keeping
from napari_lossguide.types import InvalidInput

PLUGIN = "napari-lossguide"
GROUPS = ("runs", "files")
MB = 10**6


class Settings(BaseModel):
    """The preferences of the plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        title="Device",
        description="Where the network runs, in docks opened from now on; each dock can choose another one.",
    )
    preview_rate: int = Field(
        15,
        ge=1,
        le=30,
        title="Preview rate",
        description="How often a run is drawn, at most, per second; fewer are easier on a slow screen or a remote one.",
    )
    recording_memory: int = Field(
        256,
        ge=0,
        le=65536,
        title="Memory for the timeline",
        description="MB of a run's recording that stay in memory; the rest goes to a temporary file.",
    )
    scheduler: str = Field(
        "",
        title="Dask scheduler",
        description="Address of the scheduler whose workers take runs, such as tcp://127.0.0.1:8786; the Reconstruct "
        "dock keeps here the one that was used last.",
    )
    cache_folder: str = Field(
        "",
        title="Folder",
        description="For fetched sample data, autosaved results and recordings that outgrow the memory. Empty: the "
        "system's folders for cached and temporary files.",
    )
    autosave: bool = Field(
        True,
        title="Autosave",
        description="Write the result of each finished run to the folder; after a crash it is offered again.",
    )
    autosave_size: int = Field(
        2000,
        ge=1,
        le=1_000_000,
        title="Room for results",
        description="MB; the oldest autosaved results make room for new ones.",
    )
    autosave_days: int = Field(
        0,
        ge=0,
        le=365,
        title="Days that results stay",
        description="How long autosaved results stay after napari was closed; 0 removes them then. Those of a crash "
        "stay until they are recovered or discarded.",
    )

    def place(self, name: str) -> Path | None:
        """A folder of this name in the chosen one, made if it is not there; None if none was chosen.

        Raises
        ------
        InvalidInput
            If it cannot be made.
        """
        if not self.cache_folder.strip():
            return None
        try:
            folder = Path(self.cache_folder.strip()).expanduser()
            folder = (folder if folder.is_absolute() else Path.home() / folder) / name
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: no such person
            raise InvalidInput(
                f"The folder {self.cache_folder!r} of the preferences cannot be used: {error}; choose another one in "
                "File > Preferences > napari-lossguide."
            ) from error
        return folder

    def keeping(self) -> Keeping:
        """Whether, where and how long results are autosaved; raises what `place` raises."""
        folder = self.place("autosave") if self.autosave else None
        return Keeping(self.autosave, folder, self.autosave_size * MB, self.autosave_days)


def read_settings() -> Settings:
    """The preferences as they are now; the defaults where napari does not know the plugin, as in a script."""
    try:
        kept = get_plugin_settings(PLUGIN)
    except KeyError:
        return Settings()
    found = {name: value for group in GROUPS for name, value in getattr(kept, group).model_dump().items()}
    return Settings(**found)


def keep_scheduler(address: str) -> None:
    """Keep the address of a Dask scheduler, where napari knows the plugin."""
    with suppress(KeyError):
        get_plugin_settings(PLUGIN).runs.scheduler = address
