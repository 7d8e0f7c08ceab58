"""What a pickle of tensors holds, without running it and without torch.

A pickle is a program. ``Shapes`` interprets the few words of it that tensors need, and refuses every other.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import IO, Any

from napari_lossguide.types import InvalidInput

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file that torch wrote before its version 1.6
DAMAGED = (OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, struct.error)


class Shape(tuple[int, ...]):
    """The shape of a tensor that has not been read."""

    __slots__ = ()


class PickledCode(Exception):
    """A pickle asks for something that is not data; the argument is its name."""


class Shapes(pickle.Unpickler):
    """Reads what a pickle of tensors holds, with shapes in the place of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name in a pickle."""
        known = STAND_INS.get((module, name))
        if known is not None:
            return known
        if module in ("torch", "torch.storage") and (name.endswith("Storage") or name in DTYPES):
            return Stub
        raise PickledCode(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """A storage: left where it is."""
        return None


class Stub:
    """Something of torch that says nothing about shapes."""

    def __init__(self, *_: Any) -> None:
        pass


def rebuilt(_storage: Any, _offset: Any, size: Any, *_: Any) -> Shape:
    """A tensor, as its shape."""
    return Shape(size)


def first_of(data: Any, *_: Any) -> Any:
    """A parameter, as the tensor that it is."""
    return data


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")
STAND_INS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("collections", "defaultdict"): defaultdict,
    ("torch", "Size"): tuple,
    ("torch", "device"): Stub,
    ("torch.serialization", "_get_layout"): Stub,
    ("torch._utils", "_rebuild_tensor"): rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
    ("torch._utils", "_rebuild_parameter"): first_of,
    ("builtins", "set"): set,
    ("builtins", "complex"): complex,
    ("builtins", "bytearray"): bytearray,
    ("__builtin__", "set"): set,
    ("__builtin__", "complex"): complex,
    ("__builtin__", "bytearray"): bytearray,
}


def read_pickle(path: Path) -> Any:
    """The tree of a bare pickle, which torch wrote before its version 1.6."""
    with open(path, "rb") as f:
        first = read_tree(f, path)
        if first != LEGACY_MAGIC:
            return first
        read_tree(f, path)  # version of the format
        read_tree(f, path)  # sizes of integers
        return read_tree(f, path)


def read_tree(file: IO[bytes], path: Path) -> Any:
    """One pickle."""
    try:
        return Shapes(file, encoding="latin1").load()
    except (pickle.UnpicklingError, *DAMAGED) as error:
        raise InvalidInput(f"{path} is half-written or damaged: {' '.join(str(error).split())[:200]}.") from error
