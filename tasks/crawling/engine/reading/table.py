"""Named columns of numbers, as models read them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Numbers = NDArray[Any]
"""Of any kind; a table keeps them as 32-bit floats."""


def bits(mask: Whole, count: int) -> NDArray[np.int8]:
    """Return one row for each of the lowest ``count`` bits, of ones and zeros."""
    return ((mask >> np.arange(count)[:, None]) & 1).astype(np.int8)


class Table:
    """Columns by name, in the order in which they were added; each has ``rows`` numbers.

    On a small page a call into numpy costs more than what it does, so what is alike is best added together.
    """

    def __init__(self, rows: int) -> None:
        self.names: list[str] = []
        self._rows = rows
        self._parts: list[Numbers | float] = []
        self._ends: list[int] = []

    def add(self, name: str, column: Numbers | float) -> None:
        """Add one column, or a number that stands in each of its rows."""
        self.names.append(name)
        self._parts.append(column)
        self._ends.append(len(self.names))

    def add_all(self, names: Sequence[str], columns: Numbers | float) -> None:
        """Add so many columns, which lie in the rows of an array (or of one that fills as many, as numpy does it)."""
        self.names.extend(names)
        self._parts.append(columns)
        self._ends.append(len(self.names))

    def matrix(self) -> Floats:
        """Return rows of features."""
        out = np.empty((len(self.names), self._rows), dtype=np.float32)
        begin = 0
        for part, end in zip(self._parts, self._ends, strict=True):
            out[begin:end] = part
            begin = end
        return out.T


def reach(count: int, radius: int) -> tuple[Whole, Whole]:
    """Return for each of so many rows the first one that is at most ``radius`` away, and the one after the last."""
    at = np.arange(count)
    return np.maximum(at - radius, 0), np.minimum(at + radius + 1, count)


def windowed(rows: Numbers, radius: int) -> NDArray[np.float64]:
    """Return for each row the sum of those at most ``radius`` before or after it, and of itself.

    Sums from the first row on lose digits over a long page: they are taken in 64 bits.
    """
    low, high = reach(len(rows), radius)
    before = np.zeros((len(rows) + 1, rows.shape[1]))
    np.cumsum(rows, axis=0, dtype=np.float64, out=before[1:])
    sums: NDArray[np.float64] = before[high] - before[low]
    return sums


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Return so many names of columns that differ by their numbers."""
    return tuple(f"{name}{number}" for number in range(count))


def log(column: Numbers) -> Floats:
    """Return the logarithm of counts, 0 for none."""
    return np.log1p(np.maximum(column, 0)).astype(np.float32)
