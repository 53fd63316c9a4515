"""Named columns of numbers, as models read them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Numbers = NDArray[Any]
"""Of any kind; a table keeps them as 32-bit floats."""


def bits(mask: Whole, count: int) -> Floats:
    """Return one column for each of the lowest ``count`` bits."""
    return ((mask[:, None] >> np.arange(count)) & 1).astype(np.float32)


class Table:
    """Columns by name, in the order in which they were added."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.columns: list[Floats] = []

    def add(self, name: str, column: Numbers) -> None:
        """Add one column."""
        self.names.append(name)
        self.columns.append(np.asarray(column, dtype=np.float32))

    def add_bits(self, name: str, mask: Whole, count: int) -> None:
        """Add a column a bit."""
        for number, column in enumerate(bits(mask, count).T):
            self.add(f"{name}{number}", column)

    def matrix(self) -> Floats:
        """Return rows of features."""
        return np.stack(self.columns, axis=1)


def log(column: Numbers) -> Floats:
    """Return the logarithm of counts, 0 for none."""
    return np.log1p(np.maximum(column, 0)).astype(np.float32)
