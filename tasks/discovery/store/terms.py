"""The words by which a tool is found: split, folded and stemmed alike for tools and for queries."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from tasks.discovery.tool import Tool

MOST_TERMS = 200
_MOST_CHARS = 60
_MOST_QUERY_TERMS = 30
# How much a word says of the tool, by where it is. Halves, so that sums are exact on every database.
_NAME, _TITLE, _INPUT_NAME, _PURPOSE, _TEXT, _DETAIL = 3.0, 3.0, 1.5, 1.0, 1.0, 0.5
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
# Words that say nothing of any tool in particular.
_STOP = re.compile(
    r"a|an|and|are|as|at|be|by|for|from|has|have|how|i|in|into|is|it|its|me|my|of|on|or|our|that|the|their|this|to|was|"
    r"we|what|when|where|which|with|you|your"
)


def terms_of(tool: Tool, subjects: Iterable[str] = ()) -> dict[str, float]:
    """Return the tool's terms with their weights; ``subjects`` are those of its notes."""
    weights: dict[str, float] = {}
    for text, weight in [*_texts(tool), *((subject, _DETAIL) for subject in subjects)]:
        for term in stems(text):
            weights[term] = weights.get(term, 0.0) + weight
    heaviest = sorted(weights, key=lambda term: (-weights[term], term))[:MOST_TERMS]
    return {term: weights[term] for term in heaviest}


def terms_of_query(text: str) -> list[str]:
    """Return the terms that a query asks for, each once."""
    return list(dict.fromkeys(stems(text)))[:_MOST_QUERY_TERMS]


def stems(text: str) -> Iterator[str]:
    """Give the stem of each word (Snowball's English stemmer; other languages keep most words as they are)."""
    import snowballstemmer  # noqa: PLC0415  # it loads every language, for those who search

    stemmer = snowballstemmer.stemmer("english")  # one for each call: it keeps state, and threads share modules
    bare = "".join(one for one in unicodedata.normalize("NFKD", _HUMP.sub(" ", text)) if not unicodedata.combining(one))
    for found in _WORD.finditer(bare.casefold()):
        word = found.group()[:_MOST_CHARS]
        if not _STOP.fullmatch(word):
            yield stemmer.stemWord(word)


def _texts(tool: Tool) -> Iterator[tuple[str, float]]:
    yield tool.name, _NAME
    yield tool.title, _TITLE
    yield tool.description, _TEXT
    yield tool.purpose, _PURPOSE
    properties: Any = tool.input_schema.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        yield name, _INPUT_NAME
        for key in ("title", "description"):
            if isinstance(schema, dict) and isinstance(schema.get(key), str):
                yield schema[key][:500], _DETAIL
