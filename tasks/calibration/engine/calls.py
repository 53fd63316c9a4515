"""How far the published R package is, by what Stan prints: one call a chain, in each call one fit after another."""

import re

# As in this line of Stan: Chain 1: Iteration: 1750 / 3500 [ 50%]  (Sampling)
_ITERATION = re.compile(r"Iteration:\s*(\d+)\s*/\s*(\d+)\s*\[")


class Calls:
    """Counts chains, fits and iterations; ``share`` is the part of all of them that is done, 0 to 1."""

    def __init__(self, fits: int) -> None:
        self._fits = fits
        self._chains = 1
        self._chain = 0
        self._ended = 0
        self._within = 0.0

    def begin(self, chain: int, chains: int) -> None:
        """Note that ``chain`` (from 0) of ``chains`` begins; the last is over where they are equal."""
        self._chain, self._chains = chain, chains
        self._ended, self._within = 0, 0.0

    def hear(self, line: str) -> bool:
        """Take a line that R printed; tell whether it says how far Stan is."""
        found = _ITERATION.search(line)
        if found is None:
            return False
        done, total = int(found[1]), int(found[2])
        self._within = done / max(1, total)
        if done >= total:
            self._ended, self._within = self._ended + 1, 0.0
        return True

    @property
    def share(self) -> float:
        """How much is done."""
        in_call = min(1.0, (self._ended + self._within) / self._fits)
        return min(1.0, (self._chain + in_call) / self._chains)

    @property
    def message(self) -> str:
        """Where it is."""
        return f"chain {min(self._chain + 1, self._chains)} of {self._chains}"
