"""Search by words: Okapi BM25 over stemmed, weighted terms, the same on every database.

Source: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, equations 3.15
and 3.16 (weights of fields as term frequencies: BM25F without lengths of its own for each field).
"""

import math

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.discovery.store.notes import HELPFUL, notes_of
from tasks.discovery.store.tables import terms, tools
from tasks.discovery.store.terms import terms_of_query

_K1, _B = 1.2, 0.75
# How far what runs have shown may raise or lower a score: it decides between tools that fit about equally well.
_SWAY = 0.2


def scores_of(connection: Connection, tenant_id: str, text: str) -> dict[str, float]:
    """Return a score above 0 for each of the tenant's tools that has a word of ``text``, however inflected."""
    asked = terms_of_query(text)
    of_tenant = tools.c.tenant_id == tenant_id
    size = sa.select(sa.func.count(), sa.func.sum(tools.c.terms)).where(of_tenant)
    count, total = connection.execute(size).one()
    if not asked or not count or not total:
        return {}
    found = (
        sa.select(terms.c.term, terms.c.weight, tools.c.id, tools.c.terms)
        .join(tools, tools.c.id == terms.c.tool_id)
        .where(of_tenant, terms.c.term.in_(asked))
        .order_by(terms.c.term)  # so that sums are the same everywhere
    )
    rows = connection.execute(found).all()
    holders: dict[str, int] = {}
    for row in rows:
        holders[row.term] = holders.get(row.term, 0) + 1
    mean = total / count
    scores: dict[str, float] = {}
    for row in rows:
        rarity = math.log(1 + (count - holders[row.term] + 0.5) / (holders[row.term] + 0.5))
        frequency = row.weight * (_K1 + 1) / (row.weight + _K1 * (1 - _B + _B * row.terms / mean))
        scores[row.id] = scores.get(row.id, 0.0) + rarity * frequency
    return scores


def swayed(connection: Connection, scores: dict[str, float]) -> dict[str, float]:
    """Return these scores, raised or lowered by the notes of each tool."""
    told = notes_of(connection, list(scores))
    result = {}
    for tool_id, score in scores.items():
        verdicts = [1 if note.verdict == HELPFUL else -1 for note in told[tool_id]]
        result[tool_id] = score * (1 + _SWAY * sum(verdicts) / len(verdicts)) if verdicts else score
    return result
