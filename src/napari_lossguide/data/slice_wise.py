"""Stacks that are too large for the memory: each slice is read when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class SliceWise:
    """An array whose first axis are slices that are read one by one; as an argument of NumPy it is read whole.

    It can be looked at, not written to. Pickled it is an array.

    Parameters
    ----------
    read : gives a slice, of ``shape[1:]``, by its number. Where it should be kept for the next look, `read` keeps it.
    shape : of the whole.
    dtype : of the whole.
    """

    def __init__(self, read: Callable[[int], np.ndarray], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._read = read
        self.shape, self.dtype = tuple(int(n) for n in shape), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def each(self, change: Callable[[np.ndarray], np.ndarray], dtype: DTypeLike | None = None) -> SliceWise:
        """The same with something done to every slice when it is read, which keeps its shape."""
        return SliceWise(lambda index: change(self._read(index)), self.shape, self.dtype if dtype is None else dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._one(index) for index in range(len(self)))

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, int | np.integer):
            index = int(first) + (len(self) if first < 0 else 0)
            if not 0 <= index < len(self):
                raise IndexError(f"slice {first} of {len(self)}")
            return self._one(index)[tuple(rest)]
        if isinstance(first, slice):
            chosen = range(*first.indices(len(self)))
            parts = [self._one(index)[tuple(rest)] for index in chosen]
            return np.stack(parts) if parts else np.empty((0, *self.shape[1:]), self.dtype)[:, *rest]
        return np.asarray(self)[key]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("slices that are read from a file are always new")
        whole = np.empty(self.shape, self.dtype)
        for index in range(len(self)):
            whole[index] = self._one(index)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Callable[[np.ndarray], np.ndarray], tuple[np.ndarray]]:
        return np.asarray, (np.asarray(self),)

    def _one(self, index: int) -> np.ndarray:
        found = self._read(index)
        if found.shape != self.shape[1:]:
            raise ValueError(f"slice {index} has shape {found.shape}, not {self.shape[1:]}")
        return found.astype(self.dtype, copy=False)
