"""Take in what a discovery found: new tools, new versions, and those that are gone."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.errors import InputRejected, JobSuperseded
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.schema import tenants as tenant_rows
from tasks.core.records import JobState
from tasks.core.text import ngrams
from tasks.core.web_address import canonical
from tasks.discovery.store.notes import ARGUMENT
from tasks.discovery.store.records import Diff, Status, status_of
from tasks.discovery.store.tables import notes, recordings, terms, tools, versions
from tasks.discovery.store.terms import terms_of, vector_of_tool
from tasks.discovery.tool import Tool

TOOLS_CHANGED = "tools.changed"
"""A domain event: tools of a site are new, changed, gone or deleted."""

MOST_RECORDED = 1000
_MOST_TOLD = 50
# What a discovery says of a tool besides what it is: it changes from one to the next, and makes no new version.
_ASSESSMENT = {"prior", "evidence", "examples", "checks", "confidence", "wording"}


def record_discovery(
    ledger: Ledger,
    job_id: str,
    fence: int,
    *,
    site: str,
    tools: Sequence[Tool],
    is_whole: bool = True,
    pages: Collection[str] = (),
) -> Diff:
    """Keep what the job found on a site, for the job's tenant, in one transaction.

    A tool is known by tenant, site and name. Its counters stay whatever is found; it gets a new version where more than
    its assessment differs. A job that records the same again (a second attempt) gets the first answer.

    Args:
        site: the origin; that of each tool.
        is_whole: these are all of the site's tools, so that others are gone: they become deprecated. False where only
            some were looked for.
        pages: canonical addresses of pages of whose tools these are all; others that were found on one of them are
            gone.

    Raises:
        InputRejected: two have one name, one is of another site, or there are more than 1,000.
        JobSuperseded: another claim owns the job, or it has ended.
    """
    _check(site, tools)
    digest = hashlib.sha256(
        json.dumps([is_whole, sorted(pages), *(one.model_dump(mode="json") for one in tools)], sort_keys=True).encode()
    ).hexdigest()
    with ledger.write() as connection:
        tenant_id = _owner(connection, job_id, fence)
        earlier = connection.execute(
            recordings.select().where(recordings.c.job_id == job_id, recordings.c.site == site)
        ).one_or_none()
        if earlier is not None and earlier.sha256 == digest:
            return Diff(**{name: tuple(found) for name, found in earlier.diff.items()})
        # Two discoveries of one tenant take turns; NO KEY, so that its other work goes on.
        connection.execute(
            sa.select(tenant_rows.c.id).where(tenant_rows.c.id == tenant_id).with_for_update(key_share=True)
        )
        diff = _Recording(connection, tenant_id, site, job_id).take_in(tools, is_whole=is_whole, pages=pages)
        _remember(connection, (job_id, site), digest, diff)
        tell_changes(connection, tenant_id, site, diff, job_id=job_id)
    return diff


def tell_changes(connection: Connection, tenant_id: str, site: str, diff: Diff, *, job_id: str | None = None) -> None:
    """Write the domain event, unless nothing has changed. At most 50 names of each sort are told."""
    if not diff.is_empty:
        changes = {name: list(getattr(diff, name)[:_MOST_TOLD]) for name in ("new", "changed", "gone")}
        write_event(connection, tenant_id, Emission(TOOLS_CHANGED, {"site": site} | changes), job_id=job_id)


def _check(site: str, found: Sequence[Tool]) -> None:
    names = [one.name for one in found]
    if len(names) > MOST_RECORDED:
        raise InputRejected(f"{len(names)} tools are too many to record at once: at most {MOST_RECORDED}.")
    for name in names:
        if names.count(name) > 1:
            raise InputRejected(f"Two tools of {site} are called {name!r}: name each once.", field="tools")
    for one in found:
        if one.site != site:
            raise InputRejected(f"The tool {one.name!r} is of {one.site}, not of {site}.", field="tools")


def _owner(connection: Connection, job_id: str, fence: int) -> str:
    owned = sa.select(jobs.c.tenant_id).where(
        jobs.c.id == job_id, jobs.c.state == JobState.RUNNING, jobs.c.fence == fence
    )
    tenant_id: str | None = connection.execute(owned.with_for_update()).scalar_one_or_none()
    if tenant_id is None:
        raise JobSuperseded
    return tenant_id


def _remember(connection: Connection, key: tuple[str, str], digest: str, diff: Diff) -> None:
    job_id, site = key
    row = (recordings.c.job_id == job_id) & (recordings.c.site == site)
    connection.execute(recordings.delete().where(row))
    connection.execute(recordings.insert().values(job_id=job_id, site=site, sha256=digest, diff=asdict(diff)))


class _Recording:
    """One discovery being taken in."""

    def __init__(self, connection: Connection, tenant_id: str, site: str, job_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._site = site
        self._job_id = job_id
        self._at = now()

    def take_in(self, found: Sequence[Tool], *, is_whole: bool, pages: Collection[str]) -> Diff:
        of_site = (tools.c.tenant_id == self._tenant_id) & (tools.c.site == self._site)
        known = {row.name: row for row in self._connection.execute(tools.select().where(of_site).with_for_update())}
        sorts: dict[str, list[str]] = {"same": [], "changed": [], "gone": [], "new": []}
        for tool in found:
            row = known.get(tool.name)
            sorts[self._add(tool) if row is None else self._update(row, tool)].append(tool.name)
        here = {tool.name for tool in found}
        gone = [
            row
            for name, row in known.items()
            if name not in here and row.status != Status.DEPRECATED and (is_whole or _page_of(row) in pages)
        ]
        self._deprecate([row.id for row in gone])
        sorts["gone"] = [row.name for row in gone]
        return Diff(**{sort: tuple(sorted(names)) for sort, names in sorts.items()})

    def _add(self, tool: Tool) -> str:
        tool_id = new_id()
        self._connection.execute(
            tools.insert().values(
                id=tool_id,
                tenant_id=self._tenant_id,
                site=self._site,
                name=tool.name,
                version=1,
                created_at=self._at,
                updated_at=self._at,
                **self._facts(tool),
            )
        )
        self._add_version(tool_id, 1, tool)
        index(self._connection, tool_id, tool)
        return "new"

    def _update(self, row: Row[Any], tool: Tool) -> str:
        is_changed = _definition(tool.model_dump(mode="json")) != _definition(row.tool)
        values = self._facts(tool) | {"failures_in_row": 0}
        if is_changed:
            values |= {"version": row.version + 1, "updated_at": self._at}
        self._connection.execute(tools.update().where(tools.c.id == row.id).values(**values))
        if is_changed or row.vector_maker != ngrams.NAME:
            index(self._connection, row.id, tool)
        if is_changed:
            self._add_version(row.id, row.version + 1, tool)
        else:
            newest = (versions.c.tool_id == row.id) & (versions.c.version == row.version)
            self._connection.execute(versions.update().where(newest).values(tool=values["tool"]))
        if row.status == Status.DEPRECATED:
            return "new"
        return "changed" if is_changed else "same"

    def _facts(self, tool: Tool) -> dict[str, Any]:
        return {
            "status": status_of(tool),
            "source": tool.source,
            "effect": tool.effect,
            "confidence": tool.confidence,
            "tool": tool.model_dump(mode="json"),
            "job_id": self._job_id,
            "seen_at": self._at,
        }

    def _add_version(self, tool_id: str, version: int, tool: Tool) -> None:
        content = tool.model_dump(mode="json")
        row = {"tool_id": tool_id, "version": version, "tool": content, "job_id": self._job_id, "created_at": self._at}
        self._connection.execute(versions.insert().values(row))

    def _deprecate(self, tool_ids: Sequence[str]) -> None:
        if tool_ids:
            self._connection.execute(tools.update().where(tools.c.id.in_(tool_ids)).values(status=Status.DEPRECATED))


def index(connection: Connection, tool_id: str, tool: Tool) -> None:
    """Write anew by which words the tool is found, and where it points."""
    subjects = connection.execute(sa.select(notes.c.subject).where(notes.c.tool_id == tool_id)).scalars()
    # Nobody looks for a tool by its selectors.
    weights = terms_of(tool, [one.removeprefix(ARGUMENT) for one in subjects if one.startswith(ARGUMENT)])
    connection.execute(terms.delete().where(terms.c.tool_id == tool_id))
    if weights:
        rows = [{"tool_id": tool_id, "term": term, "weight": weight} for term, weight in weights.items()]
        connection.execute(terms.insert(), rows)
    vector = ngrams.packed(vector_of_tool(tool, weights))
    found_by = {"terms": sum(weights.values()), "vector": vector, "vector_maker": ngrams.NAME}
    connection.execute(tools.update().where(tools.c.id == tool_id).values(found_by))


def _page_of(row: Row[Any]) -> str:
    found_on: str = row.tool["found_on"]
    return canonical(found_on) or found_on


def _definition(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in _ASSESSMENT}
