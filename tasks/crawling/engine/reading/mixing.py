"""How likely blocks are main text, by what all models say of them and of those that are built alike."""

import numpy as np

from tasks.crawling.engine.reading.second_look import SecondLook, Seen, load_second_look
from tasks.crawling.engine.reading.table import Floats, Whole

# How much of a block's score is the model's of words; the trees have the rest.
WORDS_SHARE = 0.3
# A block of so many words takes half of its score from those that are built alike, a shorter one more: of one price or
# of one name among many there is little to tell, and a list without some of its items is of no use.
HALF_WORDS = 20.0
# How much of what the second look corrects is believed: it was fitted on few pages.
SECOND_SHARE = 0.4


def mixed(by_trees: Floats, by_words: Floats, *, words: Floats, paths: Whole, look: SecondLook | None = None) -> Floats:
    """Return how likely the blocks of a page are main text, given their scores, their lengths and their paths.

    ``look`` is the network that takes the second look, the one that is shipped where none is given.
    """
    if not len(words):
        return np.zeros(0, dtype=np.float32)
    seen = first_look(by_trees, by_words, words=words, paths=paths)
    scores = seen.scores + SECOND_SHARE * (look or load_second_look()).corrections(seen)
    likely: Floats = (1.0 / (1.0 + np.exp(-scores))).astype(np.float32)
    return likely


def first_look(by_trees: Floats, by_words: Floats, *, words: Floats, paths: Whole) -> Seen:
    """Return both models' scores as one, short blocks leaning on those that are built alike, for a second look."""
    scores = (1 - WORDS_SHARE) * by_trees + WORDS_SHARE * by_words
    roots = np.sqrt(words)
    means = (np.bincount(paths, scores * roots) / np.maximum(np.bincount(paths, roots), 1))[paths]
    lean = HALF_WORDS / (HALF_WORDS + words)
    scores = ((1 - lean) * scores + lean * means).astype(np.float32)
    return Seen.of(scores, [by_trees, by_words, means.astype(np.float32)], words=words, paths=paths)
