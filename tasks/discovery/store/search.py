"""Search by words and by meaning, the same on every database.

By words: Okapi BM25 over stemmed, weighted terms. By meaning: how alike the vectors of tool and query are, which know
parts of words (``tasks.core.text.ngrams``) and words that mean alike (``tasks.core.text.concepts``).

Source: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, equations 3.15
and 3.16 (weights of fields as term frequencies: BM25F without lengths of its own for each field).
"""

import math

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.text import ngrams
from tasks.discovery.store.notes import HELPFUL, notes_of
from tasks.discovery.store.tables import terms, tools
from tasks.discovery.store.terms import terms_of_query, vector_of_query

_K1, _B = 1.2, 0.75
# How far what runs have shown may raise or lower a score: it decides between tools that fit about equally well.
_SWAY = 0.2
# Cosines of texts that have nothing to do with each other stay below it: one of 512 dimensions has a spread of 0.044.
LEAST_LIKENESS = 0.2


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


def by_meaning(connection: Connection, tenant_id: str, text: str) -> dict[str, float]:
    """Return how alike ``text`` is to each of the tenant's tools that has a vector: the cosines above 0."""
    asked = terms_of_query(text)
    if not asked:
        return {}
    count, _ = _size(connection, tenant_id)
    held = (
        sa.select(terms.c.term, sa.func.count())
        .join(tools, tools.c.id == terms.c.tool_id)
        .where(tools.c.tenant_id == tenant_id, terms.c.term.in_(asked))
        .group_by(terms.c.term)
    )
    holders = dict(connection.execute(held).tuples().all())
    query = vector_of_query(text, {term: _rarity(holders.get(term, 0), count) for term in asked})
    ours = sa.select(tools.c.id, tools.c.vector).where(
        tools.c.tenant_id == tenant_id, tools.c.vector_maker == ngrams.NAME
    )
    rows = connection.execute(ours.order_by(tools.c.id)).all()
    likenesses = ngrams.cosines(query, [row.vector for row in rows])
    return {row.id: likeness for row, likeness in zip(rows, likenesses, strict=True) if likeness > 0}


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
