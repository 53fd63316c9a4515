"""Pages that say nearly the same, found by fingerprints of their words.

Source: M. Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.core.job import JobContext
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.records import MAX_SIMILAR_SHOWN, CrawledPage, SimilarPages

_WORD = re.compile(r"\w+")
_RUN_WORDS = 3
# Any odd numbers do that have nothing to do with each other; these are digits of pi.
_FACTORS = tuple(np.uint64(one) for one in (0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1))
# Source: A. Appleby, MurmurHash3, fmix64 (public domain).
_MIXERS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
# Of a text with fewer runs of words, one word more or less changes too much.
_LEAST_RUNS = 50
_MOST_WORDS = 20_000
# As many as SQLite's integers have beside their sign.
_BITS = 63
# As many ones as a byte can count; wider sums take ten times as long.
_ROWS_AT_ONCE = 255
# About one run of words in twenty differs then: the share of bits is the angle between texts over half a turn.
_MOST_APART = 6


def fingerprint(text: str) -> int | None:
    """Return 63 bits of which texts that share most runs of three words share most; None where a text is short."""
    words = _WORD.findall(text.casefold())[:_MOST_WORDS]
    numbers = np.fromiter(map(_number, words), np.uint64, len(words))
    # Each place of a run has its own factor, so that the same words in another order are another run.
    first, second, third = (
        numbers[at : len(words) - _RUN_WORDS + 1 + at] * factor for at, factor in enumerate(_FACTORS)
    )
    runs = _distinct(first + second + third)
    if len(runs) < _LEAST_RUNS:
        return None
    bits = np.unpackbits(_mixed(runs).view(np.uint8).reshape(-1, 8), axis=1)
    counts = np.zeros(8 * runs.itemsize, dtype=np.int64)
    for at in range(0, len(runs), _ROWS_AT_ONCE):
        counts += bits[at : at + _ROWS_AT_ONCE].sum(axis=0, dtype=np.uint8)
    return int.from_bytes(np.packbits(2 * counts > len(runs))) >> 8 * runs.itemsize - _BITS


@lru_cache(maxsize=20_000)
def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())


def _distinct(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # What ``numpy.unique`` does, in a fifth of its time for a few hundred numbers.
    numbers = np.sort(numbers)
    is_first = np.empty(len(numbers), dtype=bool)
    is_first[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=is_first[1:])
    return numbers[is_first]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers each bit of which hangs on every bit of the given ones: the last step of MurmurHash3."""
    for factor in _MIXERS:
        numbers = (numbers ^ (numbers >> np.uint64(33))) * factor
    return (numbers ^ (numbers >> np.uint64(33))).astype(">u8")


class NearDuplicates:
    """Groups the pages of one crawl; what is known lies in its state."""

    def __init__(self, state: CrawlState) -> None:
        self._state = state

    def noted(self, page: CrawledPage) -> CrawledPage:
        """Return the page with its fingerprint, noted as part of the transaction around this."""
        # Also of a page from an earlier crawl: its fingerprint may have been made in another way.
        found = fingerprint(page.text)
        if found is None:
            return page
        self.note(page.url, found)
        return page.model_copy(update={"fingerprint": f"{found:016x}"})

    def note(self, url: str, found: int) -> None:
        """Note the fingerprint of the page there, as part of the transaction around this."""
        with self._state.writing() as db:
            db.execute("INSERT OR REPLACE INTO fingerprints VALUES (?, ?)", (url, found))

    def write_groups(self, path: Path, job: JobContext) -> tuple[int, int]:
        """Write the groups to ``path``, one a line; return how many there are, and how many pages are not the first.

        The first of a group is the page with the shortest address; the others differ from it in few bits.
        """
        with self._state.writing() as db:
            db.execute("DELETE FROM leaders")
            db.execute("DELETE FROM similar")
            # Of the pages that groups begin with, in the order of their addresses.
            leaders = np.empty(self._state.number("SELECT count(*) FROM fingerprints"), dtype=np.uint64)
            count = 0
            for number, (url, found) in enumerate(self._state.rows(_IN_ORDER)):
                if number % 100 == 0:
                    job.checkpoint()
                if (leader := _nearest(leaders[:count], found)) is not None:
                    db.execute("INSERT INTO similar SELECT url, ? FROM leaders WHERE number = ?", (url, leader))
                else:
                    db.execute("INSERT INTO leaders VALUES (?, ?)", (count, url))
                    leaders[count] = found
                    count += 1
        groups = 0
        with path.open("w", encoding="utf-8") as out:
            for (leader,) in self._state.rows("SELECT DISTINCT leader FROM similar ORDER BY leader"):
                others = self._state.read("SELECT url FROM similar WHERE leader = ? ORDER BY url", leader)
                urls = tuple(str(url) for (url,) in others)
                line = SimilarPages(url=leader, pages=len(urls), similar=urls[:MAX_SIMILAR_SHOWN])
                out.write(line.model_dump_json() + "\n")
                groups += 1
        return groups, self._state.number("SELECT count(*) FROM similar")


def _nearest(leaders: NDArray[np.uint64], found: int) -> int | None:
    """Return the place of the fingerprint that fewest bits are other in, the first of several; None where none is near.

    Each is looked at: of 50,000 that takes 50 µs, less than it takes to ask an index for those with a part alike.
    """
    if not len(leaders):
        return None
    apart = np.bitwise_count(leaders ^ np.uint64(found))
    nearest = int(apart.argmin())
    return nearest if apart[nearest] <= _MOST_APART else None


_IN_ORDER = "SELECT url, fingerprint FROM fingerprints ORDER BY length(url), url"
