"""How much memory processes hold over time, and whether it grows."""

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import psutil

_MIB = 1024 * 1024
_PARTS = 12


@dataclass(frozen=True, slots=True)
class Slope:
    """How fast something grows: MiB an hour, with the standard error of the least-squares line."""

    mib_per_h: float
    error_mib_per_h: float

    def __str__(self) -> str:
        return f"{self.mib_per_h:+.1f} ± {self.error_mib_per_h:.1f} MiB/h"


@dataclass(slots=True)
class Memory:
    """Samples of what named processes hold.

    Args:
        with_children: and everything below them.
    """

    with_children: bool = True
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By name: (monotonic seconds, MiB)."""

    def look(self, pids: Mapping[str, int]) -> None:
        """Take one sample of each; who is gone is left out."""
        at = time.monotonic()
        for name, pid in pids.items():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                below = process.children(recursive=True) if self.with_children else []
                held = sum(one.memory_info().rss for one in (process, *below))
                self.samples.setdefault(name, []).append((at, held / _MIB))

    def growth_mib(self, name: str) -> float:
        """Return the median of the last third less that of the middle third, which leaves the warm-up out."""
        held = [mib for _, mib in self.samples[name]]
        third = max(1, len(held) // 3)
        return statistics.median(held[-third:]) - statistics.median(held[third : 2 * third] or held)

    def slope(self, name: str) -> Slope | None:
        """Return the slope over the second half; None of too few samples."""
        samples = self.samples[name]
        return line_through(samples[len(samples) // 2 :])

    def told(self, name: str) -> str:
        """Describe the growth in a line."""
        held = [mib for _, mib in self.samples[name]]
        return f"{name}: {held[0]:.0f} to {held[-1]:.0f} MiB ({self._course(name)}), second half {self.slope(name)}"

    def _course(self, name: str) -> str:
        """Tell the median of each twelfth, by which a leak is told from a cache that fills."""
        held = [mib for _, mib in self.samples[name]]
        edges = [len(held) * part // _PARTS for part in range(_PARTS + 1)]
        parts = [held[begin:end] for begin, end in pairwise(edges)]
        return " ".join(f"{statistics.median(part):.1f}" for part in parts if part)


def line_through(samples: Sequence[tuple[float, float]]) -> Slope | None:
    """Fit a line by least squares; the error is that of the slope, for independent samples."""
    if len(samples) < 4:
        return None
    times, values = zip(*samples, strict=True)
    mean_t, mean_v = statistics.fmean(times), statistics.fmean(values)
    spread = sum((at - mean_t) ** 2 for at in times)
    rate = sum((at - mean_t) * (value - mean_v) for at, value in samples) / spread
    residual = sum((value - mean_v - rate * (at - mean_t)) ** 2 for at, value in samples)
    error = (residual / (len(samples) - 2) / spread) ** 0.5
    return Slope(rate * 3600, error * 3600)
