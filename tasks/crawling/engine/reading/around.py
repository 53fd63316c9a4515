"""What is said of the blocks around each block: means over those built alike, over the page, and over neighbours."""

from dataclasses import dataclass

import numpy as np

from tasks.crawling.engine.reading.table import Floats, Whole, reach, windowed

# So many blocks before and after.
RADII = (1, 4, 16)
MEANS = 3 + len(RADII)


class Alike:
    """Blocks of the same number, each with a weight above 0."""

    def __init__(self, numbers: Whole, weights: Floats) -> None:
        self._group = np.unique(numbers, return_inverse=True)[1]
        self._order = np.argsort(self._group, kind="stable")
        self._starts = np.searchsorted(self._group[self._order], np.arange(int(self._group.max(initial=-1)) + 1))
        self._weights = weights[:, None]
        self._sums: Floats = self._added(self._weights)

    def _added(self, rows: Floats) -> Floats:
        sums: Floats = np.add.reduceat(rows[self._order], self._starts, axis=0)
        return sums

    def means(self, rows: Floats) -> Floats:
        """Return for each block the weighted mean over those of its number."""
        means: Floats = (self._added(rows * self._weights) / self._sums)[self._group]
        return means

    def shares(self, rows: Floats) -> Floats:
        """Return what each block gets of these numbers when a mean is taken back to its parts (the transpose)."""
        shares: Floats = (self._added(rows) / self._sums)[self._group] * self._weights
        return shares


class All:
    """All blocks of a page, each with a weight."""

    def __init__(self, weights: Floats) -> None:
        self._shares = weights / max(float(weights.sum()), float(np.finfo(np.float32).tiny))

    def means(self, rows: Floats) -> Floats:
        """Return the weighted mean, once for each block."""
        means: Floats = np.broadcast_to(
            np.einsum("i,ij->j", self._shares, rows), rows.shape
        )  # not by OpenBLAS, see ``second_look``
        return means

    def shares(self, rows: Floats) -> Floats:
        """Return the transpose of ``means``."""
        shares: Floats = self._shares[:, None] * rows.sum(axis=0)
        return shares


class Near:
    """The blocks at most ``radius`` before or after each, and itself."""

    def __init__(self, count: int, radius: int) -> None:
        low, high = reach(count, radius)
        self._radius = radius
        self._count = (high - low)[:, None].astype(np.float32)

    def _added(self, rows: Floats) -> Floats:
        added: Floats = windowed(rows, self._radius).astype(rows.dtype)
        return added

    def means(self, rows: Floats) -> Floats:
        """Return for each block the mean over those near it."""
        means: Floats = self._added(rows) / self._count
        return means

    def shares(self, rows: Floats) -> Floats:
        """Return the transpose of ``means``: who is near whom is mutual."""
        return self._added(rows / self._count)


@dataclass(frozen=True, slots=True)
class Around:
    """The means that are taken of a page's blocks."""

    parts: tuple[Alike | All | Near, ...]

    @classmethod
    def of(cls, *, paths: Whole, words: Floats, likely: Floats) -> "Around":
        """Return those of a page. Longer blocks weigh more, by the root of their words."""
        roots = np.sqrt(words)
        wide = tuple(Near(len(words), radius) for radius in RADII)
        return cls((Alike(paths, roots), All(roots), All(roots * likely), *wide))

    def joined(self, rows: Floats) -> Floats:
        """Return the rows, and beside each the means over what is around it."""
        joined: Floats = np.concatenate([rows, *(part.means(rows) for part in self.parts)], axis=1)
        return joined

    def parted(self, joined: Floats) -> Floats:
        """Return the transpose of ``joined``."""
        own, *means = np.split(joined, 1 + len(self.parts), axis=1)
        parted: Floats = own + sum(part.shares(mean) for part, mean in zip(self.parts, means, strict=True))
        return parted
