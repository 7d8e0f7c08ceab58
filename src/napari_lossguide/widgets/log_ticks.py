"""Labels of a logarithmic axis that do not touch, however low the plot is. No Qt in here."""

import math
from itertools import pairwise

# Multiples of a power of ten that get a label, the most first; then every power, every second one, and so on.
MULTIPLES = (range(1, 10), (1, 2, 5), (1, 3))
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_ticks(low: float, high: float, pixels: float, room: float) -> list[float]:
    """Where labels stand, as decimal logarithms: as many as there is room for.

    Parameters
    ----------
    low, high : decimal logarithms of the ends of the axis.
    pixels : its length.
    room : pixels from one label to the next at least; a label stays a quarter of it away from both ends.
    """
    if not (high > low and pixels > 0):
        return []
    scale = pixels / (high - low)
    ends = low + 0.25 * room / scale, high - 0.25 * room / scale
    first, last = math.floor(low), math.ceil(high)
    for multiples in MULTIPLES:
        every = [power + math.log10(m) for power in range(first, last + 1) for m in multiples]
        if (shown := _inside(every, ends)) and _apart(shown, room / scale):
            return shown
    for step in range(1, last - first + 1):
        shown = _inside([float(power) for power in range(first, last + 1) if power % step == 0], ends)
        if _apart(shown, room / scale):
            return shown
    return []


def log_text(exponent: float) -> str:
    """The number with this decimal logarithm: "0.05", "200", "10⁴"."""
    if -3.5 < exponent < 3.5:
        return f"{10**exponent:.3g}" if exponent < 3 else f"{round(10**exponent)}"
    power = math.floor(exponent + 1e-9)
    factor = round(10 ** (exponent - power))
    return f"{factor}·" * (factor > 1) + f"10{str(power).translate(SUPERSCRIPTS)}"


def _inside(values: list[float], ends: tuple[float, float]) -> list[float]:
    return [value for value in values if ends[0] <= value <= ends[1]]


def _apart(values: list[float], distance: float) -> bool:
    return all(b - a >= distance for a, b in pairwise(values))
