"""The words of a text as a search compares them: split, folded and stemmed alike for what is kept and what is asked."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from threading import local

MAX_WORD_CHARS = 60
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
# Words that say nothing of anything in particular.
_STOP = re.compile(
    r"a|an|and|are|as|at|be|by|for|from|has|have|how|i|in|into|is|it|its|me|my|of|on|or|our|that|the|their|this|to|was|"
    r"we|what|when|where|which|with|you|your"
)


def all_stems(text: str) -> Iterator[str]:
    """Give the stem of each word (Snowball's English stemmer; other languages keep most words as they are)."""
    bare = "".join(one for one in unicodedata.normalize("NFKD", _HUMP.sub(" ", text)) if not unicodedata.combining(one))
    for found in _WORD.finditer(bare.casefold()):
        word = found.group()[:MAX_WORD_CHARS]
        # The stemmer has no use for articles, but phrases do.
        yield word if _STOP.fullmatch(word) else stem_of(word)


_of_thread = local()


# A text has few words that the one before it had not.
@lru_cache(maxsize=50_000)
def stem_of(word: str) -> str:
    """Return the stem of one word in lower case."""
    if not hasattr(_of_thread, "stemmer"):  # it keeps state, and threads share modules
        import snowballstemmer  # noqa: PLC0415  # it loads every language, for those who search

        _of_thread.stemmer = snowballstemmer.stemmer("english")
    stem: str = _of_thread.stemmer.stemWord(word)
    return stem


def stems(text: str) -> Iterator[str]:
    """Give the stem of each word that says something."""
    return (stem for stem in all_stems(text) if not _STOP.fullmatch(stem))
