"""Fitting what finds main text in two stages, so that no page is ever judged by what its site taught.

The second stage learns from scores of the first one. For the pages of fold k it is fitted on all others, whose scores
must be by models that saw neither fold k nor their own fold. One thing of fold k does reach them: how likely a page is
of each type, which the first stage reads, is told by a model of page types without the page's own fold only.
"""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement

import numpy as np

from bench.extraction_second import Lesson, Weights, fit

Judge = Callable[[np.ndarray], np.ndarray]
"""Given which blocks to learn from, the scores of all others, in their order."""


def nested_scores(judge: Judge, fold: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` rows of scores: row k has each block's by a model without fold k and without its own."""
    answer = np.zeros((count, len(fold)), dtype=np.float32)
    for one, other in combinations_with_replacement(range(count), 2):
        outside = (fold == one) | (fold == other)
        scores = np.zeros(len(fold), dtype=np.float32)
        scores[outside] = judge(~outside)
        answer[one][fold == other] = scores[fold == other]
        answer[other][fold == one] = scores[fold == one]
    return answer


def own_scores(nested: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return each block's score by the model that saw all but its fold."""
    own: np.ndarray = nested[fold, np.arange(len(fold))]
    return own


def fitted_by_fold(lessons: Sequence[Sequence[Lesson]], fold: np.ndarray) -> list[Weights]:
    """Return for each fold the second stage that saw none of it; ``lessons[k]`` are all pages as that one sees them."""
    return [
        fit([lesson for lesson, number in zip(pages, fold, strict=True) if number != k and len(lesson.words)])
        for k, pages in enumerate(lessons)
    ]
