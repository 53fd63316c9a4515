"""Which words of a passage a query asked for, and how well they stand together."""

import re
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

from tasks.core.text.words import stems

_WORD = re.compile(r"[^\W_]+")
MAX_HIGHLIGHTS = 50


def highlights(text: str, asked: Collection[str]) -> list[tuple[int, int]]:
    """Return where ``text`` has words with one of these stems: begin and end, at most 50."""
    found: list[tuple[int, int]] = []
    for word in _WORD.finditer(text):
        if len(found) == MAX_HIGHLIGHTS:
            break
        if any(stem in asked for stem in stems(word.group())):
            found.append(word.span())
    return found


def closeness(text: str, asked: Sequence[str], rarity: Callable[[str], float]) -> float:
    """Return how much of what was asked stands close together in ``text``: 0 to 1.

    Half is for the share of the asked stems that it has, by their rarity; half for the share of neighbours in the query
    that are neighbours here.
    """
    there = list(stems(text))
    known = set(there)
    whole = sum(rarity(stem) for stem in asked)
    if not whole:
        return 0.0
    share = sum(rarity(stem) for stem in asked if stem in known) / whole
    pairs = set(pairwise(asked))
    if not pairs:
        return share
    together = len(pairs & set(pairwise(there))) / len(pairs)
    return (share + together) / 2
