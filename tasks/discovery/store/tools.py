"""Tools that are there: found by id, listed, shown with their history, deleted."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.errors import InputRejected, NotFound
from tasks.core.ids import is_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import jobs
from tasks.core.text.fusion import fused
from tasks.discovery.store.notes import notes_of
from tasks.discovery.store.recording import tell_changes
from tasks.discovery.store.records import Diff, Statistics, Status, StoredTool, ToolFacts, ToolVersion
from tasks.discovery.store.rows import stored_tool
from tasks.discovery.store.run_log import read_statistics
from tasks.discovery.store.search import by_meaning, by_words, swayed
from tasks.discovery.store.tables import sessions, tools, versions
from tasks.discovery.tool import Effect, Source, Tool

_MOST_FOUND = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of a tenant's tools; ``None`` does not filter. ``text`` is searched for, best first."""

    tenant_id: str
    site: str | None = None
    statuses: Sequence[Status] = ()
    source: Source | None = None
    effect: Effect | None = None
    min_confidence: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tools, the number of all that match, and the cursor of the next page.

    A search finds the 1,000 best at most.
    """

    tools: list[ToolFacts]
    total: int
    next_cursor: str | None


def find(ledger: Ledger, tenant_id: str, tool_id: str) -> StoredTool:
    """Return one of the tenant's tools.

    Raises:
        NotFound: it has none with this id.
    """
    with ledger.read() as connection:
        row = connection.execute(
            tools.select().where(tools.c.id == tool_id, tools.c.tenant_id == tenant_id)
        ).one_or_none()
    if row is None:
        raise NotFound(f"No tool {tool_id}.")
    return stored_tool(row)


def find_named(ledger: Ledger, tenant_id: str, site: str, name: str) -> StoredTool:
    """Return the tenant's tool of this name on this site (an origin).

    Raises:
        NotFound: it has none.
    """
    key = (tools.c.tenant_id == tenant_id) & (tools.c.site == site) & (tools.c.name == name)
    with ledger.read() as connection:
        row = connection.execute(tools.select().where(key)).one_or_none()
    if row is None:
        raise NotFound(f"No tool {name[:100]!r} of {site[:300]}.")
    return stored_tool(row)


def tool_for_job(ledger: Ledger, job_id: str, tool_id: str) -> StoredTool:
    """Return a tool for whoever a job belongs to.

    Raises:
        NotFound: that tenant has none with this id, or there is no such job.
    """
    owner = sa.select(jobs.c.tenant_id).where(jobs.c.id == job_id)
    with ledger.read() as connection:
        tenant_id = connection.execute(owner).scalar_one_or_none()
    if tenant_id is None:
        raise NotFound(f"No job {job_id}.")
    return find(ledger, tenant_id, tool_id)


def facts_of(ledger: Ledger, found: StoredTool) -> ToolFacts:
    """Return what is known of a tool: what its runs have shown, too."""
    with ledger.read() as connection:
        return _with_facts(connection, [found])[0]


def listing(ledger: Ledger, wanted: Wanted, *, limit: int, cursor: str | None = None) -> Page:
    """Return a page of the tenant's tools, newest first, or best first where a text is searched for.

    Raises:
        InputRejected: the cursor is not one of ours.
    """
    with ledger.read() as connection:
        if wanted.text is None:
            return _newest(connection, wanted, limit=limit, cursor=cursor)
        best = ranked(connection, wanted)
        start = _decode(cursor, "skip")
        return Page(
            _with_facts(connection, _in_order(connection, best[start : start + limit])),
            len(best),
            _encode("skip", start + limit) if start + limit < len(best) else None,
        )


def all_of(ledger: Ledger, wanted: Wanted, *, limit: int, offset: int = 0) -> list[StoredTool]:
    """List the tenant's tools by site and name; ``offset`` of them are left out."""
    statement = tools.select().where(*_matching(wanted)).order_by(tools.c.site, tools.c.name)
    with ledger.read() as connection:
        return [stored_tool(row) for row in connection.execute(statement.limit(limit).offset(offset))]


def names_of(ledger: Ledger, wanted: Wanted) -> list[tuple[str, str, str]]:
    """List id, site and name of the tenant's tools, without reading more of them."""
    statement = sa.select(tools.c.id, tools.c.site, tools.c.name).where(*_matching(wanted))
    with ledger.read() as connection:
        return [(row.id, row.site, row.name) for row in connection.execute(statement)]


def ranked(connection: Connection, wanted: Wanted) -> list[str]:
    """Return the ids of the tools that the text finds, best first; 1,000 at most.

    Found is what has a word of it, or means much the same; the order is that of both rankings together.
    """
    text = wanted.text or ""
    words, alike = by_words(connection, wanted.tenant_id, text), by_meaning(connection, wanted.tenant_id, text)
    fitting = set(connection.execute(sa.select(tools.c.id).where(*_matching(wanted))).scalars())
    found = (words.keys() | alike.found) & fitting
    kept = [{one: score for one, score in scores.items() if one in found} for scores in (words, alike.likeness)]
    both = fused(_order(connection, scores) for scores in kept)
    return sorted(both, key=lambda tool_id: (-both[tool_id], tool_id))[:_MOST_FOUND]


def versions_of(ledger: Ledger, tool_id: str) -> list[ToolVersion]:
    """List every version of a tool, newest first."""
    statement = versions.select().where(versions.c.tool_id == tool_id).order_by(versions.c.version.desc())
    with ledger.read() as connection:
        return [
            ToolVersion(row.version, Tool.model_validate(row.tool), row.job_id, row.created_at)
            for row in connection.execute(statement)
        ]


def delete(ledger: Ledger, found: StoredTool) -> None:
    """Delete a tool with its versions, runs and notes.

    Raises:
        NotFound: somebody else has deleted it meanwhile.
    """
    with ledger.write() as connection:
        if not connection.execute(tools.delete().where(tools.c.id == found.id)).rowcount:
            raise NotFound(f"No tool {found.id}.")
        tell_changes(connection, found.tenant_id, found.site, Diff(gone=(found.name,)))


def delete_site(ledger: Ledger, tenant_id: str, site: str) -> int:
    """Delete every tool of a site, and the sign-in state that is kept for it; return how many tools."""
    of_site = (tools.c.tenant_id == tenant_id) & (tools.c.site == site)
    with ledger.write() as connection:
        names = connection.execute(sa.select(tools.c.name).where(of_site).order_by(tools.c.name)).scalars().all()
        connection.execute(tools.delete().where(of_site))
        connection.execute(sessions.delete().where(sessions.c.tenant_id == tenant_id, sessions.c.site == site))
        tell_changes(connection, tenant_id, site, Diff(gone=tuple(names)))
        return len(names)


def _order(connection: Connection, scores: dict[str, float]) -> list[str]:
    best = sorted(scores, key=lambda tool_id: (-scores[tool_id], tool_id))[:_MOST_FOUND]
    final = swayed(connection, {tool_id: scores[tool_id] for tool_id in best})
    return sorted(best, key=lambda tool_id: (-final[tool_id], tool_id))


def _newest(connection: Connection, wanted: Wanted, *, limit: int, cursor: str | None) -> Page:
    where = _matching(wanted)
    page = tools.select().where(*where)
    if cursor is not None:
        page = page.where(tools.c.id < _decode_id(cursor))
    total = int(connection.execute(sa.select(sa.func.count()).select_from(tools).where(*where)).scalar_one())
    rows = connection.execute(page.order_by(tools.c.id.desc()).limit(limit + 1)).all()
    found = [stored_tool(row) for row in rows[:limit]]
    return Page(_with_facts(connection, found), total, _encode("before", found[-1].id) if len(rows) > limit else None)


def _matching(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [tools.c.tenant_id == wanted.tenant_id]
    exact = {tools.c.site: wanted.site, tools.c.source: wanted.source, tools.c.effect: wanted.effect}
    where += [column == value for column, value in exact.items() if value is not None]
    if wanted.statuses:
        where.append(tools.c.status.in_(wanted.statuses))
    if wanted.min_confidence is not None:
        where.append(tools.c.confidence >= wanted.min_confidence)
    return where


def _in_order(connection: Connection, tool_ids: Sequence[str]) -> list[StoredTool]:
    rows = {row.id: row for row in connection.execute(tools.select().where(tools.c.id.in_(tool_ids)))}
    return [stored_tool(rows[tool_id]) for tool_id in tool_ids]


def _with_facts(connection: Connection, found: Sequence[StoredTool]) -> list[ToolFacts]:
    ids = [one.id for one in found]
    if not ids:
        return []
    statistics, notes = read_statistics(connection, ids), notes_of(connection, ids)
    return [ToolFacts(one, statistics.get(one.id, Statistics()), notes[one.id]) for one in found]


def _encode(name: str, value: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps({name: value}).encode()).decode().rstrip("=")


def _decoded(cursor: str, name: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _decode_id(cursor: str) -> str:
    before = _decoded(cursor, "before")
    if not isinstance(before, str) or not is_id(before):
        raise _foreign(cursor)
    return before


def _decode(cursor: str | None, name: str) -> int:
    if cursor is None:
        return 0
    start = _decoded(cursor, name)
    if type(start) is not int or not 0 <= start <= _MOST_FOUND:
        raise _foreign(cursor)
    return start


def _foreign(cursor: str) -> InputRejected:
    return InputRejected(
        f"cursor {cursor[:100]!r} is not one that this list gave out: start again without it.", field="cursor"
    )
