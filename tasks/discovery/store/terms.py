"""The words by which a tool is found, and the direction in which it points beside them."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tasks.core.text.concepts import concepts_in
from tasks.core.text.ngrams import Vector, vector_of
from tasks.core.text.words import stems
from tasks.discovery.tool import Tool

MOST_TERMS = 200
_MOST_QUERY_TERMS = 30
# How much a word says of the tool, by where it is. Halves, so that sums are exact on every database.
_NAME, _TITLE, _INPUT_NAME, _PURPOSE, _TEXT, _DETAIL = 3.0, 3.0, 1.5, 1.0, 1.0, 0.5
# What a word means, against the word itself: in a tool, which has many of each, and in a query.
_MEANING, _MEANING_ASKED = 0.5, 0.25
# No word looks like that.
_CONCEPT = "="


def terms_of(tool: Tool, subjects: Iterable[str] = ()) -> dict[str, float]:
    """Return the tool's terms with their weights; ``subjects`` are the arguments that its notes tell of."""
    weights: dict[str, float] = {}
    for text, weight in [*_texts(tool), *((subject, _DETAIL) for subject in subjects)]:
        for term in stems(text):
            weights[term] = weights.get(term, 0.0) + weight
    heaviest = sorted(weights, key=lambda term: (-weights[term], term))[:MOST_TERMS]
    return {term: weights[term] for term in heaviest}


def vector_of_tool(tool: Tool, terms: Mapping[str, float]) -> Vector:
    """Return where the tool points with its terms and with what its texts mean."""
    weights = dict(terms)
    for text, weight in _texts(tool):
        for concept in concepts_in(text):
            name = _CONCEPT + concept
            weights[name] = weights.get(name, 0.0) + weight * _MEANING
    # A word that is said four times does not say four times as much.
    return vector_of({word: math.sqrt(weight) for word, weight in weights.items()})


def terms_of_query(text: str) -> list[str]:
    """Return the terms that a query asks for, each once."""
    return list(dict.fromkeys(stems(text)))[:_MOST_QUERY_TERMS]


def vector_of_query(text: str, rarities: Mapping[str, float], *, known: Collection[str] = ()) -> Vector:
    """Return where a query points.

    Args:
        rarities: the weight of each of its terms.
        known: those that some tool has. The fewer there are, the more depends on what the others mean.
    """
    unknown = 1.0 - len(known) / max(1, len(rarities))
    meaning = max(rarities.values(), default=0.0) * (_MEANING_ASKED + (1.0 - _MEANING_ASKED) * unknown)
    return vector_of({**rarities, **{_CONCEPT + concept: meaning for concept in concepts_in(text)}})


def vector_of_concepts(text: str) -> Vector:
    """Return where what a query means points, whatever words it says it with."""
    return vector_of({_CONCEPT + concept: 1.0 for concept in concepts_in(text)})


def _texts(tool: Tool) -> Iterator[tuple[str, float]]:
    yield tool.name, _NAME
    yield tool.title, _TITLE
    yield tool.description, _TEXT
    yield tool.purpose, _PURPOSE
    if tool.wording is not None:
        yield f"{tool.wording.title} {tool.wording.description}", _DETAIL
    properties: Any = tool.input_schema.get("properties")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        yield name, _INPUT_NAME
        for key in ("title", "description"):
            if isinstance(schema, dict) and isinstance(schema.get(key), str):
                yield schema[key][:500], _DETAIL
