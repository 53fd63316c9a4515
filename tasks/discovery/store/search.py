"""Search by words and by meaning, the same on every database.

By words: Okapi BM25 over stemmed, weighted terms. By meaning: how alike the vectors of tool and query are, which know
parts of words (``tasks.core.text.ngrams``) and words that mean alike (``tasks.core.text.concepts``).

Source: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, equations 3.15
and 3.16 (weights of fields as term frequencies: BM25F without lengths of its own for each field).
"""

import math
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.text import ngrams
from tasks.discovery.store.notes import HELPFUL, notes_of
from tasks.discovery.store.tables import terms, tools
from tasks.discovery.store.terms import terms_of_query, vector_of_concepts, vector_of_query

_K1, _B = 1.2, 0.75
# How far what runs have shown may raise or lower a score: it decides between tools that fit about equally well.
_SWAY = 0.2
# Cosines with tools that have nothing to do with the query stay below these. The first is of the whole query; the
# second of its concepts alone, which are no accident of spelling, for words that no tool has.
_LEAST_LIKENESS, _LEAST_MEANING = 0.25, 0.17


@dataclass(frozen=True, slots=True)
class Alike:
    """How alike each tool is to a query, where that is above 0, and which are so alike that they are found by it."""

    likeness: dict[str, float]
    found: set[str]


def by_words(connection: Connection, tenant_id: str, text: str) -> dict[str, float]:
    """Return a score above 0 for each of the tenant's tools that has a word of ``text``, however inflected."""
    asked = terms_of_query(text)
    count, total = _size(connection, tenant_id)
    if not asked or not total:
        return {}
    found = (
        sa.select(terms.c.term, terms.c.weight, tools.c.id, tools.c.terms)
        .join(tools, tools.c.id == terms.c.tool_id)
        .where(tools.c.tenant_id == tenant_id, terms.c.term.in_(asked))
        .order_by(terms.c.term)  # so that sums are the same everywhere
    )
    rows = connection.execute(found).all()
    holders: dict[str, int] = {}
    for row in rows:
        holders[row.term] = holders.get(row.term, 0) + 1
    mean = total / count
    scores: dict[str, float] = {}
    for row in rows:
        rarity = _rarity(holders[row.term], count)
        frequency = row.weight * (_K1 + 1) / (row.weight + _K1 * (1 - _B + _B * row.terms / mean))
        scores[row.id] = scores.get(row.id, 0.0) + rarity * frequency
    return scores


def by_meaning(connection: Connection, tenant_id: str, text: str) -> Alike:
    """Return how alike ``text`` is to each of the tenant's tools that has a vector."""
    asked = terms_of_query(text)
    if not asked:
        return Alike({}, set())
    count, _ = _size(connection, tenant_id)
    held = (
        sa.select(terms.c.term, sa.func.count().label("holders"))
        .join(tools, tools.c.id == terms.c.tool_id)
        .where(tools.c.tenant_id == tenant_id, terms.c.term.in_(asked))
        .group_by(terms.c.term)
    )
    holders: dict[str, int] = {row.term: row.holders for row in connection.execute(held)}
    rarities = {term: _rarity(holders.get(term, 0), count) for term in asked}
    query = vector_of_query(text, rarities, known=holders)
    ours = sa.select(tools.c.id, tools.c.vector).where(
        tools.c.tenant_id == tenant_id, tools.c.vector_maker == ngrams.NAME
    )
    rows = connection.execute(ours.order_by(tools.c.id)).all()
    ids, vectors = [row.id for row in rows], [row.vector for row in rows]
    likeness = dict(zip(ids, ngrams.cosines(query, vectors), strict=True))
    meaning = dict(zip(ids, ngrams.cosines(vector_of_concepts(text), vectors), strict=True))
    found = {one for one in ids if likeness[one] >= _LEAST_LIKENESS or meaning[one] >= _LEAST_MEANING}
    return Alike({one: cosine for one, cosine in likeness.items() if cosine > 0 or one in found}, found)


def swayed(connection: Connection, scores: dict[str, float]) -> dict[str, float]:
    """Return these scores, raised or lowered by the notes of each tool."""
    told = notes_of(connection, list(scores))
    result = {}
    for tool_id, score in scores.items():
        verdicts = [1 if note.verdict == HELPFUL else -1 for note in told[tool_id]]
        result[tool_id] = score * (1 + _SWAY * sum(verdicts) / len(verdicts)) if verdicts else score
    return result


def _size(connection: Connection, tenant_id: str) -> tuple[int, float]:
    """Return how many tools the tenant has, and the weight of all their terms."""
    size = sa.select(sa.func.count(), sa.func.sum(tools.c.terms)).where(tools.c.tenant_id == tenant_id)
    count, total = connection.execute(size).one()
    return count, total or 0.0


def _rarity(holders: int, count: int) -> float:
    return math.log(1 + (count - holders + 0.5) / (holders + 0.5))
