"""How many of something took how long: counts between fixed bounds, which can be added up."""

from bisect import bisect_left
from dataclasses import dataclass, field

# Seconds. From a job that only counts to a crawl of hours; Prometheus gets the same bounds.
BOUNDS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(slots=True)
class Durations:
    """``counts[n]`` took at most ``BOUNDS_S[n]`` and more than the bound before; the last ones longer than any."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float | None:
        """How long one took on the average; None without any."""
        return self.sum_s / self.count if self.count else None

    def add(self, seconds: float) -> None:
        """Count one; a time below zero, which clocks that differ make, is none."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def absorb(self, other: "Durations") -> None:
        """Count all of the other's, too."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum_s += other.sum_s

    def quantile_s(self, share: float) -> float | None:
        """Return how long the given share of them took at the most; None without any.

        Between two bounds they are taken to be spread evenly, and beyond the last one to be at it, as Prometheus'
        ``histogram_quantile`` does.
        """
        rank, below = share * self.count, 0
        for bound, low, count in zip(BOUNDS_S, (0.0, *BOUNDS_S), self.counts, strict=False):
            if count and below + count >= rank:
                return low + (bound - low) * (rank - below) / count
            below += count
        return BOUNDS_S[-1] if self.count else None

    def cumulative(self) -> list[tuple[str, int]]:
        """List how many took at most each bound, and at last all of them, as Prometheus names the bounds."""
        total, found = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found
