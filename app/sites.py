"""Published sites: what is live, which releases are kept, what changed between two, what must be sent."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import Input, checked
from app.openapi import SECURITY, answer, problems
from app.previews import Shown, preview_links
from app.services import services
from tasks.core.clock import now
from tasks.publishing.manifest import difference
from tasks.publishing.release import Release, Site
from tasks.publishing.sources import SourceStore
from tasks.publishing.store import sites

bp = APIBlueprint("sites", __name__, abp_tags=[Tag(name="sites")], abp_security=SECURITY)

_MOST_CONTENTS = 50_000
_MOST_PATHS = 1000
_SHA256 = r"^[0-9a-f]{64}$"
_SiteName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
_ReleaseStart = Annotated[
    str, Field(pattern=r"^[0-9a-f]{6,64}$", description="A release, or the beginning of its name.")
]


class Mark(StrEnum):
    """What a release is."""

    LIVE = "live"
    PREVIOUS = "previous"
    PREVIEW = "preview"


class SitePath(Input):
    """Which site."""

    site: _SiteName = Field(description="The site's name.")


class DiffQuery(Input):
    """From which release to which."""

    old: _ReleaseStart
    new: _ReleaseStart


class WantedContents(Input):
    """What a publication has."""

    contents: Annotated[list[Annotated[str, Field(pattern=_SHA256)]], Field(max_length=_MOST_CONTENTS)] = Field(
        description="SHA-256 of each file, in hexadecimal."
    )


class MissingContents(BaseModel):
    """What has to be sent."""

    missing: list[str] = Field(description="Those that the server does not have; it keeps the others for a month.")


class WantedPreview(Input):
    """Which release is to be shown, and for how long."""

    release: _ReleaseStart
    expires_s: int = Field(86_400, ge=60, le=30 * 86_400, description="Seconds until the link ends.")


class PreviewRecord(BaseModel):
    """A link with which anybody can look at a release."""

    release: str
    path: str = Field(description="On this server. Who has it needs no key.")
    expires_at: datetime


class ReleaseRecord(BaseModel):
    """A release that is kept."""

    release: str
    marks: list[Mark] = Field(description="None: it is kept to go back to.")
    job_id: str = Field(description="That made it last; its record may be gone.")
    by: str
    note: str
    created_at: datetime
    activated_at: datetime | None = Field(description="When it was made live last; null: never.")
    files: int
    size_bytes: int
    added: int = Field(description="Files that what was live before it did not have.")
    changed: int
    removed: int
    changed_bytes: int = Field(description="Of what was added or changed.")
    stages: dict[str, float] = Field(description="Seconds of each stage of its publication.")
    target: str = Field(description="Where it lies, by the operator's name for it.")


class SiteRecord(BaseModel):
    """A published site."""

    name: str
    url: str | None = Field(description="Where visitors find it, as far as its publications said.")
    created_at: datetime
    updated_at: datetime
    live: ReleaseRecord | None = Field(description="Null: there are only previews.")
    releases: int = Field(description="How many are kept.")
    target: str = Field(description="Where it is live, by the operator's name for it.")


class SiteList(BaseModel):
    """Sites by name."""

    sites: list[SiteRecord]


class ReleaseList(BaseModel):
    """Releases, the one that was made or made live last first."""

    releases: list[ReleaseRecord]


class ReleaseDiff(BaseModel):
    """What changed from one release to another; of each sort at most 1,000 paths."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    added_count: int
    changed_count: int
    removed_count: int
    changed_bytes: int = Field(description="Of what was added or changed.")


MODELS: tuple[type[BaseModel], ...] = (
    *(SiteList, SiteRecord, ReleaseList, ReleaseRecord),
    *(ReleaseDiff, WantedContents, MissingContents, WantedPreview, PreviewRecord),
)


@bp.get("/api/sites", responses={200: answer(SiteList, "All of yours."), **problems(401, 503)})
@checked
def list_sites() -> Response:
    """List your published sites."""
    found = sites.list_sites(services().kernel.ledger, tenant_id())
    return json_answer(SiteList(sites=[_site(one) for one in found]))


@bp.get("/api/sites/<site>", responses={200: answer(SiteRecord, "The site."), **problems(401, 404, 422, 503)})
@checked
def read_site(path: SitePath) -> Response:
    """Show a published site."""
    ledger = services().kernel.ledger
    sites.find_site(ledger, tenant_id(), path.site)
    found = [one for one in sites.list_sites(ledger, tenant_id()) if one.site.name == path.site]
    return json_answer(_site(found[0]))


@bp.get(
    "/api/sites/<site>/releases",
    responses={200: answer(ReleaseList, "Those that are kept."), **problems(401, 404, 422, 503)},
)
@checked
def list_releases(path: SitePath) -> Response:
    """List the releases of a site that can be made live again."""
    ledger = services().kernel.ledger
    site = sites.find_site(ledger, tenant_id(), path.site)
    found = sites.list_releases(ledger, tenant_id(), path.site)
    return json_answer(ReleaseList(releases=[_release(one, site) for one in found]))


@bp.get(
    "/api/sites/<site>/diff",
    responses={200: answer(ReleaseDiff, "The difference."), **problems(401, 404, 422, 503)},
)
@checked
def compare_releases(path: SitePath, query: DiffQuery) -> Response:
    """Compare two kept releases of a site, file by file."""
    ledger = services().kernel.ledger
    old, new = (sites.manifest_of(ledger, tenant_id(), path.site, one) for one in (query.old, query.new))
    found = difference(old, new)
    return json_answer(
        ReleaseDiff(
            added=list(found.added[:_MOST_PATHS]),
            changed=list(found.changed[:_MOST_PATHS]),
            removed=list(found.removed[:_MOST_PATHS]),
            added_count=len(found.added),
            changed_count=len(found.changed),
            removed_count=len(found.removed),
            changed_bytes=found.bytes,
        )
    )


@bp.post(
    "/api/sites/<site>/missing",
    responses={200: answer(MissingContents, "What to send."), **problems(400, 401, 413, 415, 422, 503)},
)
@checked
def ask_missing(path: SitePath, body: WantedContents) -> Response:
    """Ask which contents of a site's files have not been sent before; the site need not be there yet."""
    store = SourceStore(services().settings.resolved_publish_dir / tenant_id(), path.site)
    return json_answer(MissingContents(missing=store.lacks(body.contents)))


@bp.post(
    "/api/sites/<site>/previews",
    responses={201: answer(PreviewRecord, "A link."), **problems(400, 401, 404, 413, 415, 422, 503)},
)
@checked
def make_preview_link(path: SitePath, body: WantedPreview) -> Response:
    """Make a link that shows a kept release to whoever has it, until it expires."""
    ledger = services().kernel.ledger
    release = sites.manifest_of(ledger, tenant_id(), path.site, body.release).release
    until = now() + timedelta(seconds=body.expires_s)
    link = preview_links().path(Shown(tenant_id(), path.site, release), until=until)
    return json_answer(PreviewRecord(release=release, path=link, expires_at=until), status=201)


def _site(found: sites.SiteSummary) -> SiteRecord:
    site = found.site
    return SiteRecord(
        name=site.name,
        url=site.url,
        created_at=site.created_at,
        updated_at=site.updated_at,
        live=None if found.live is None else _release(found.live, site),
        releases=found.kept,
        target=site.target,
    )


def _release(found: Release, site: Site) -> ReleaseRecord:
    is_marked = {
        Mark.LIVE: found.release == site.live,
        Mark.PREVIOUS: found.release == site.previous,
        Mark.PREVIEW: found.is_preview,
    }
    return ReleaseRecord(
        release=found.release,
        marks=[mark for mark, holds in is_marked.items() if holds],
        job_id=found.job_id,
        by=found.by,
        note=found.note,
        created_at=found.created_at,
        activated_at=found.activated_at,
        files=found.files,
        size_bytes=found.size_bytes,
        added=found.added,
        changed=found.changed,
        removed=found.removed,
        changed_bytes=found.changed_bytes,
        stages=dict(found.stages),
        target=found.target,
    )
