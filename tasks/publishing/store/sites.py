"""What the front door reads of sites and releases."""

import zlib
from dataclasses import dataclass

import sqlalchemy as sa

from tasks.core.errors import NotFound
from tasks.core.ledger import Ledger
from tasks.publishing.manifest import Manifest
from tasks.publishing.release import Release, Site
from tasks.publishing.store.records import RELEASE_COLUMNS, release_of, site_of
from tasks.publishing.store.tables import releases, sites


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """A site, and its live release."""

    site: Site
    live: Release | None
    kept: int


def list_sites(ledger: Ledger, tenant_id: str) -> list[SiteSummary]:
    """List a tenant's sites by name."""
    counted = (
        sa.select(releases.c.site, sa.func.count().label("kept"))
        .where(releases.c.tenant_id == tenant_id)
        .group_by(releases.c.site)
    )
    with ledger.read() as connection:
        found = connection.execute(sites.select().where(sites.c.tenant_id == tenant_id).order_by(sites.c.name)).all()
        counts = {row.site: row.kept for row in connection.execute(counted)}
        live = {
            row.site: release_of(row)
            for row in connection.execute(
                sa.select(*RELEASE_COLUMNS)
                .join(sites, (sites.c.tenant_id == releases.c.tenant_id) & (sites.c.live == releases.c.release))
                .where(releases.c.tenant_id == tenant_id, sites.c.name == releases.c.site)
            )
        }
    return [SiteSummary(site_of(row), live.get(row.name), counts.get(row.name, 0)) for row in found]


def find_site(ledger: Ledger, tenant_id: str, name: str) -> Site:
    """Return a tenant's site.

    Raises:
        NotFound: this tenant has no such site.
    """
    with ledger.read() as connection:
        found = connection.execute(sites.select().where(sites.c.tenant_id == tenant_id, sites.c.name == name))
        row = found.one_or_none()
    if row is None:
        raise NotFound(f"No site {name!r}.")
    return site_of(row)


def list_releases(ledger: Ledger, tenant_id: str, site: str) -> list[Release]:
    """List the kept releases of a site, those made or made live last first."""
    with ledger.read() as connection:
        found = connection.execute(
            sa.select(*RELEASE_COLUMNS)
            .where(releases.c.tenant_id == tenant_id, releases.c.site == site)
            .order_by(releases.c.used_at.desc(), releases.c.release)
        )
        return [release_of(row) for row in found]


def target_of(ledger: Ledger, tenant_id: str, site: str, release: str) -> str:
    """Return where a kept release lies.

    Raises:
        NotFound: it is not kept.
    """
    wanted = (releases.c.tenant_id == tenant_id) & (releases.c.site == site) & (releases.c.release == release)
    with ledger.read() as connection:
        target: str | None = connection.execute(sa.select(releases.c.target).where(wanted)).scalar_one_or_none()
    if target is None:
        raise NotFound(f"Release {release[:12]} of {site} is no longer kept.")
    return target


def manifest_of(ledger: Ledger, tenant_id: str, site: str, release: str) -> Manifest:
    """Return the manifest of a kept release; ``release`` may be the beginning of its name, if only one has it.

    Raises:
        NotFound: no release, or more than one, is called so.
    """
    with ledger.read() as connection:
        found = (
            connection.execute(
                sa.select(releases.c.manifest)
                .where(releases.c.tenant_id == tenant_id, releases.c.site == site)
                .where(releases.c.release.startswith(release, autoescape=True))
                .limit(2)
            )
            .scalars()
            .all()
        )
    if len(found) != 1:
        raise NotFound(f"No one release {release!r} of {site} is kept.")
    return Manifest.from_json(zlib.decompress(found[0]))
