"""Which texts have which words: an inverted index in memory, made of what was counted when each text was kept.

A word is known by a 32-bit hash of its stem, so that an index needs no vocabulary and is the same on every database.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Long texts are hardly held against a text, and a word that comes often helps little more than one that comes twice:
# chunks are of about one length. See docs/decisions/0034.
_K1, _B = 0.9, 0.4
_MOST_TIMES = 255
Rows = NDArray[np.uint32]


def term_of(stem: str) -> int:
    """Return the number of a stem."""
    return zlib.crc32(stem.encode())


def packed_counts(stems: Iterable[str]) -> tuple[bytes, int]:
    """Return how often each stem comes, as bytes for ``Postings``, and how many there are."""
    counts = Counter(map(term_of, stems))
    terms = np.fromiter(counts.keys(), "<u4", len(counts))
    times = np.fromiter((min(one, _MOST_TIMES) for one in counts.values()), np.uint8, len(counts))
    return terms.tobytes() + times.tobytes(), sum(counts.values())


class Postings:
    """An immutable index of ``size`` texts, numbered by their place.

    Source of the scores: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
    equation 3.15.
    """

    def __init__(self, terms: NDArray[np.uint32], rows: Rows, times: NDArray[np.uint8], lengths: Rows) -> None:
        order = np.argsort(terms, kind="stable")
        self._terms, starts = np.unique(terms[order], return_index=True)
        self._starts = np.append(starts, len(terms))
        self._rows = rows[order]
        self._times = times[order]
        self._lengths = lengths
        mean = float(lengths.mean()) if len(lengths) else 1.0
        often = self._times.astype(np.float32)
        norm = (_K1 * (1 - _B + _B * lengths / (mean or 1.0))).astype(np.float32)
        self._impacts = (often * (_K1 + 1) / (often + norm[self._rows])).astype(np.float16)

    @classmethod
    def of(cls, packed: Sequence[bytes], lengths: Sequence[int]) -> Self:
        """Make the index of texts as ``packed_counts`` gave them."""
        sizes = np.fromiter((len(one) // 5 for one in packed), np.intp, len(packed))
        terms = np.frombuffer(b"".join(one[: 4 * (len(one) // 5)] for one in packed), "<u4")
        times = np.frombuffer(b"".join(one[4 * (len(one) // 5) :] for one in packed), np.uint8)
        rows = np.repeat(np.arange(len(packed), dtype=np.uint32), sizes)
        return cls(terms, rows, times, np.asarray(lengths, np.uint32))

    def changed(self, kept: NDArray[np.bool_], added: "Postings") -> "Postings":
        """Return the index of the texts that are kept, in their order, and those of ``added`` after them."""
        place = np.cumsum(kept, dtype=np.uint32) - 1
        mine = kept[self._rows]
        begin = np.uint32(kept.sum())
        return Postings(
            np.concatenate([self._spread()[mine], added._spread()]),
            np.concatenate([place[self._rows[mine]], added._rows + begin]),
            np.concatenate([self._times[mine], added._times]),
            np.concatenate([self._lengths[kept], added._lengths]),
        )

    def _spread(self) -> NDArray[np.uint32]:
        return np.repeat(self._terms, np.diff(self._starts))

    @property
    def size(self) -> int:
        """How many texts there are."""
        return len(self._lengths)

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        parts = (self._terms, self._starts, self._rows, self._times, self._lengths, self._impacts)
        return sum(part.nbytes for part in parts)

    def rarity(self, stem: str) -> float:
        """Return the stem's inverse document frequency, above 0."""
        return self._rarity(*self._span(term_of(stem)))

    def knows(self, stem: str) -> bool:
        """Tell whether any text has this stem."""
        begin, end = self._span(term_of(stem))
        return begin < end

    def _rarity(self, begin: int, end: int) -> float:
        holders = end - begin
        return float(np.log1p((self.size - holders + 0.5) / (holders + 0.5)))

    def _span(self, term: int) -> tuple[int, int]:
        at = int(np.searchsorted(self._terms, np.uint32(term)))
        if at == len(self._terms) or self._terms[at] != term:
            return 0, 0
        return int(self._starts[at]), int(self._starts[at + 1])

    def scores(self, stems: Mapping[str, float]) -> NDArray[np.float32]:
        """Return each text's BM25 score for these stems, each as heavy as it says; 0 where it has none."""
        found = np.zeros(self.size, np.float32)
        for stem, weight in stems.items():
            begin, end = self._span(term_of(stem))
            if begin < end:
                rarity = np.float32(weight * self._rarity(begin, end))
                found[self._rows[begin:end]] += rarity * self._impacts[begin:end]
        return found
