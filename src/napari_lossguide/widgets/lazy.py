"""Data of layers that are read when they are needed, from a file perhaps or from far away: never in the main thread."""

from typing import Any

import numpy as np

from napari_lossguide.types import InvalidInput


def is_lazy(data: Any) -> bool:
    """Whether looking at these data may take long."""
    return not isinstance(data, np.ndarray)


def read(name: str, data: Any, index: int | None = None) -> np.ndarray:
    """Read the data of a layer.

    Parameters
    ----------
    name : of the layer.
    data : an array of any kind.
    index : read this plane of it alone.

    Raises
    ------
    InvalidInput
        If that fails, however it does.
    """
    try:
        return np.asarray(data if index is None else data[index])
    except Exception as error:  # whatever the file's library raises
        raise InvalidInput(f"'{name}' could not be read: {error}") from error
