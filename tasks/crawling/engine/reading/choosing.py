"""Which blocks to keep, given how likely each is main text."""

import numpy as np

from tasks.crawling.engine.reading.table import Floats, Whole

# How much less likely, in log odds, a block is taken to be main text than its model says. Blocks of one page are right
# or wrong together, and where they are wrong, many words too many cost more than few too few.
LEAN = 0.3


def choose(likely: Floats, words: Floats) -> Whole:
    """Return the numbers of the blocks, ascending, that together have the best F1 of words to be expected.

    Keeping the k likeliest blocks has an expected F1 of about twice the expected words kept over the words kept and
    the expected words in all; the best k is kept, so no threshold is chosen by hand.
    """
    if not len(likely):
        return np.zeros(0, dtype=np.int64)
    lean = np.exp(-LEAN)
    likely = likely * lean / (1 - likely + likely * lean)
    order = np.argsort(-likely, kind="stable")
    expected = np.cumsum(likely[order] * words[order], dtype=np.float64)
    kept = np.cumsum(words[order], dtype=np.float64)
    best = int(np.argmax(2 * expected / (kept + expected[-1])))
    return np.sort(order[: best + 1])
