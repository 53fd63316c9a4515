"""What jobs write of sites and releases: see ``tasks.publishing.release.Records``."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import JobSuperseded
from tasks.core.ledger import Ledger, audit
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.schema import jobs
from tasks.core.ledger.schema import tenants as tenant_rows
from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.core.records import JobState
from tasks.publishing.release import Act, Owner, Release, ReleaseFacts, Site
from tasks.publishing.store.tables import releases, sites, turns

# All but the manifest, which few want.
RELEASE_COLUMNS = tuple(column for column in releases.c if column.name != "manifest")


class LedgerRecords:
    """Implements ``Records`` on the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def take_turn(self, job: Owner, site: str) -> bool:
        """See ``Records``."""
        with self._ledger.write() as connection:
            tenant_id = _owner(connection, job)
            _one_at_a_time(connection, tenant_id)
            here = (turns.c.tenant_id == tenant_id) & (turns.c.site == site)
            mine = here & (turns.c.job_id == job.id)
            at_work = sa.exists().where(
                jobs.c.id == turns.c.job_id, jobs.c.state == JobState.RUNNING, jobs.c.fence == turns.c.fence
            )
            connection.execute(turns.delete().where(here, ~at_work))
            waiting = connection.execute(sa.select(turns.c.job_id, turns.c.is_holding).where(here)).all()
            holder = next((row.job_id for row in waiting if row.is_holding), None)
            # Ids grow with time: the oldest in line is the next.
            is_next = holder is None and all(job.id <= row.job_id for row in waiting)
            if job.id not in {row.job_id for row in waiting}:
                row = {"tenant_id": tenant_id, "site": site, "job_id": job.id}
                connection.execute(turns.insert().values(**row, fence=job.fence, is_holding=is_next))
            elif is_next:
                connection.execute(turns.update().where(mine).values(is_holding=True))
        return is_next or holder == job.id

    def leave(self, job: Owner, site: str) -> None:
        """See ``Records``."""
        with self._ledger.write() as connection:
            mine = (turns.c.job_id == job.id) & (turns.c.site == site) & (turns.c.fence == job.fence)
            connection.execute(turns.delete().where(mine))

    def site(self, job: Owner, site: str) -> Site | None:
        """See ``Records``."""
        with self._ledger.read() as connection:
            tenant_id = sa.select(jobs.c.tenant_id).where(jobs.c.id == job.id).scalar_subquery()
            found = connection.execute(sites.select().where(sites.c.tenant_id == tenant_id, sites.c.name == site))
            row = found.one_or_none()
        return None if row is None else site_of(row)

    def keep(self, job: Owner, facts: ReleaseFacts) -> None:
        """See ``Records``."""
        at, manifest = now(), facts.manifest
        told = {"published_by": facts.by, "note": facts.note}
        change = {
            "added": facts.added,
            "changed": facts.changed,
            "removed": facts.removed,
            "changed_bytes": facts.changed_bytes,
        }
        values: dict[str, Any] = {
            "job_id": job.id,
            "is_preview": facts.is_preview,
            "used_at": at,
            "files": len(manifest.files),
            "size_bytes": manifest.size,
            "stages": {},
            "target": facts.target,
        }
        with self._ledger.write() as connection:
            tenant_id = _owner(connection, job)
            row = {"tenant_id": tenant_id, "name": facts.site, "target": facts.target}
            if not insert_if_new(connection, sites, **row, url=facts.url, created_at=at, updated_at=at):
                known = (sites.c.tenant_id == tenant_id) & (sites.c.name == facts.site)
                connection.execute(sites.update().where(known).values(url=facts.url, updated_at=at))
            key = {"tenant_id": tenant_id, "site": facts.site, "release": manifest.release}
            text = zlib.compress(manifest.to_json(), 6)
            if not insert_if_new(connection, releases, **key, created_at=at, manifest=text, **values, **told, **change):
                same = _release(tenant_id, facts.site, manifest.release)
                # What is live does not become a preview by being published again as one.
                if facts.is_preview:
                    same &= releases.c.activated_at.is_(None)
                if any((facts.added, facts.changed, facts.removed)):
                    values |= told | change
                else:
                    # What is live, published once more: what it changed, and who made it, is still so.
                    values |= {name: text for name, text in told.items() if text}
                connection.execute(releases.update().where(same).values(**values))

    def mark_live(self, job: Owner, site: str, release: str, act: Act, *, target: str = DEFAULT_TARGET) -> None:
        """See ``Records``."""
        self._mark(job, site, release, act, {"previous": sites.c.live}, target=target)

    def take_back(
        self, job: Owner, site: str, release: str, *, previous: str | None, target: str = DEFAULT_TARGET
    ) -> None:
        """See ``Records``."""
        self._mark(job, site, release, Act.TAKEN_BACK, {"previous": previous}, target=target)

    def note_purge(self, job: Owner, site: str, *, urls: int, tags: Sequence[str]) -> None:
        """See ``Records``."""
        with self._ledger.write() as connection:
            told = {"urls": urls, "tags": list(tags)}
            _write_down(connection, job, _owner(connection, job), what="site.purged", site=site, told=told)

    def _mark(self, job: Owner, site: str, release: str, act: Act, values: Mapping[str, Any], *, target: str) -> None:
        at = now()
        with self._ledger.write() as connection:
            tenant_id = _owner(connection, job)
            here = (sites.c.tenant_id == tenant_id) & (sites.c.name == site)
            found = connection.execute(sa.select(sites.c.live, sites.c.target).where(here)).one_or_none()
            # Both sides are read before either is written, and what is live already stays as it is.
            other = sa.or_(sites.c.live.is_(None), sites.c.live != release)
            changed = connection.execute(
                sites.update().where(here, other).values(live=release, updated_at=at, **values)
            )
            # The same release in another target is live there, with what was live before it as it is.
            moved = connection.execute(sites.update().where(here, sites.c.target != target).values(target=target))
            if changed.rowcount or moved.rowcount:
                told = {"before": found.live if found else None, "after": release}
                if found and found.target != target:
                    told |= {"target_before": found.target, "target_after": target}
                _write_down(connection, job, tenant_id, what=act, site=site, told=told)
            same = _release(tenant_id, site, release)
            connection.execute(
                releases.update().where(same).values(activated_at=at, used_at=at, is_preview=False, target=target)
            )

    def note_stages(self, job: Owner, site: str, release: str, stages: Mapping[str, float]) -> None:
        """See ``Records``."""
        with self._ledger.write() as connection:
            same = _release(_owner(connection, job), site, release)
            connection.execute(releases.update().where(same).values(stages=dict(stages)))

    def kept(self, job: Owner, site: str) -> list[Release]:
        """See ``Records``."""
        with self._ledger.read() as connection:
            tenant_id = sa.select(jobs.c.tenant_id).where(jobs.c.id == job.id).scalar_subquery()
            found = connection.execute(
                sa.select(*RELEASE_COLUMNS)
                .where(releases.c.tenant_id == tenant_id, releases.c.site == site)
                .order_by(releases.c.used_at.desc(), releases.c.release)
            )
            return [release_of(row) for row in found]

    def forget(self, job: Owner, site: str, releases_: list[str]) -> None:
        """See ``Records``."""
        with self._ledger.write() as connection:
            tenant_id = _owner(connection, job)
            here = (releases.c.tenant_id == tenant_id) & (releases.c.site == site)
            named = sa.select(sites.c.live, sites.c.previous).where(
                sites.c.tenant_id == tenant_id, sites.c.name == site
            )
            always = {release for row in connection.execute(named) for release in row}
            connection.execute(
                releases.delete().where(here, releases.c.release.in_([one for one in releases_ if one not in always]))
            )


def site_of(row: Row[Any]) -> Site:
    """Make a ``Site`` of a row."""
    return Site(row.name, row.url, row.live, row.previous, row.created_at, row.updated_at, row.target)


def release_of(row: Row[Any]) -> Release:
    """Make a ``Release`` of a row."""
    return Release(
        site=row.site,
        release=row.release,
        job_id=row.job_id,
        is_preview=row.is_preview,
        by=row.published_by,
        note=row.note,
        created_at=row.created_at,
        activated_at=row.activated_at,
        files=row.files,
        size_bytes=row.size_bytes,
        added=row.added,
        changed=row.changed,
        removed=row.removed,
        changed_bytes=row.changed_bytes,
        stages=row.stages,
        target=row.target,
    )


def _release(tenant_id: str, site: str, release: str) -> sa.ColumnElement[bool]:
    return (releases.c.tenant_id == tenant_id) & (releases.c.site == site) & (releases.c.release == release)


def _owner(connection: Connection, job: Owner) -> str:
    owned = sa.select(jobs.c.tenant_id).where(
        jobs.c.id == job.id, jobs.c.state == JobState.RUNNING, jobs.c.fence == job.fence
    )
    tenant_id: str | None = connection.execute(owned.with_for_update()).scalar_one_or_none()
    if tenant_id is None:
        raise JobSuperseded
    return tenant_id


def _write_down(
    connection: Connection, job: Owner, tenant_id: str, *, what: str, site: str, told: Mapping[str, object]
) -> None:
    request = connection.execute(sa.select(jobs.c.request).where(jobs.c.id == job.id)).scalar_one()
    # What was found live is another job's doing.
    said = {name: request[name] for name in ("by", "note") if what != Act.FOUND and request.get(name)}
    audit.write_down(
        connection, tenant_id=tenant_id, who=f"job {job.id}", what=what, subject=site, details={**told, **said}
    )


def _one_at_a_time(connection: Connection, tenant_id: str) -> None:
    """Let two jobs of a tenant ask for their turn one after the other; NO KEY, so that its other work goes on."""
    connection.execute(sa.select(tenant_rows.c.id).where(tenant_rows.c.id == tenant_id).with_for_update(key_share=True))
