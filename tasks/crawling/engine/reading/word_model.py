"""What the words in and around a block say of it: a linear model, which knows words by their hashes.

The trees see a block by numbers and by a few groups of words; here each word counts for itself: those that a block
begins with, those of the heading above, and those of the class names around it. Fitted by ``bench.extraction_words``.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, TypeVar
from zlib import crc32

import numpy as np

from tasks.crawling.engine.reading.blocks import Block
from tasks.crawling.engine.reading.columns import HEADINGS
from tasks.crawling.engine.reading.paths import Paths
from tasks.crawling.engine.reading.table import Floats

FIRST_WORDS = 15
HEADING_WORDS = 8
# A block of so few words also counts as a whole: "read more" says what neither word does.
WHOLE_WORDS = 3
_PLACES = tuple(crc32(place) for place in (b"t:", b"x:", b"h:", b"n:", b"f:"))
_OF_TEXT, _OF_WHOLE, _OF_HEADING, _OF_NEAR, _OF_FAR = _PLACES
_T = TypeVar("_T")

Placed = tuple[int, Iterable[str]]
"""Words, and where they stand: the same word in a text and in a heading above has two hashes."""


def hashed(place: int, word: str) -> int:
    """Return what stands for the word in the model."""
    return crc32(word.encode("utf-8", "surrogatepass"), place)


def _shapes(words: Iterable[str]) -> list[str]:
    """Return the words; of numbers only how long they are, since any other might stand there."""
    return ["0" * len(word) if word.isdecimal() else word for word in words]


def read_words(blocks: Sequence[Block], paths: Paths, read: Callable[[list[Placed]], _T]) -> list[tuple[_T, _T, _T]]:
    """Return what ``read`` makes of each block's own words, of those of the heading above, and of those around it.

    What several blocks share is read once.
    """
    of_path: dict[int, _T] = {}
    of_heading = read([])
    answer = []
    for block, path in zip(blocks, paths.of_block.tolist(), strict=True):
        shapes = _shapes(block.tokens[:FIRST_WORDS])
        own: list[Placed] = [(_OF_TEXT, set(shapes))]
        if len(block.tokens) <= WHOLE_WORDS:
            own.append((_OF_WHOLE, [" ".join(shapes)]))
        if path not in of_path:
            near, far = paths.near_and_far(path)
            of_path[path] = read([(_OF_NEAR, near), (_OF_FAR, far)])
        answer.append((read(own), of_heading, of_path[path]))
        if block.tag in HEADINGS:
            of_heading = read([(_OF_HEADING, set(shapes[:HEADING_WORDS]))])
    return answer


class _Known(dict[str, int | None]):
    """The weights of words in one place, looked up once for each word of a page."""

    def __init__(self, weights: dict[int, int], place: int) -> None:
        super().__init__()
        self._weights, self._place = weights, place

    def __missing__(self, word: str) -> int | None:
        weight = self[word] = self._weights.get(hashed(self._place, word))
        return weight


class WordModel:
    """Weights of known hashes. Words that are not among them count for nothing."""

    def __init__(self, fields: dict[str, Any]) -> None:
        keys = np.frombuffer(b64decode(fields["keys"]), dtype="<u4")
        weights = np.frombuffer(b64decode(fields["weights"]), dtype=np.int8)
        self._weights: dict[int, int] = dict(zip(keys.tolist(), weights.tolist(), strict=True))
        self._scale = float(fields["scale"])
        self._bias = float(fields["bias"])

    def __len__(self) -> int:
        return len(self._weights)

    def scores(self, blocks: Sequence[Block], paths: Paths) -> Floats:
        """Return the log odds that each block is main text: the bias, and its weights over the root of their number."""
        known = {place: _Known(self._weights, place) for place in _PLACES}

        def added(placed: list[Placed]) -> tuple[int, int]:
            total = count = 0
            for place, words in placed:
                found = [weight for weight in map(known[place].__getitem__, words) if weight is not None]
                total, count = total + sum(found), count + len(found)
            return total, count

        parts = np.array(read_words(blocks, paths, added), dtype=np.float64).reshape(-1, 3, 2).sum(axis=1)
        roots = np.sqrt(np.maximum(parts[:, 1], 1))
        scores: Floats = (self._bias + self._scale * parts[:, 0] / roots).astype(np.float32)
        return scores


@cache
def load_words() -> WordModel:
    """Return the model that is shipped."""
    text = resources.files(__package__).joinpath("word_weights.json").read_text(encoding="utf-8")
    return WordModel(json.loads(text))
