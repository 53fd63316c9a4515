"""Tells what has changed on a site, and removes the releases that nobody will go back to."""

import json
from collections.abc import Iterable
from itertools import chain, islice
from typing import Literal

from tasks.core.job import JobContext
from tasks.publishing.contract import MAX_URLS_BYTES, MAX_URLS_TOLD, SITE_PUBLISHED
from tasks.publishing.engine.generating import NOT_FOUND
from tasks.publishing.engine.homes import Home, Homes, TargetUnknown
from tasks.publishing.engine.pages import address_of, is_page
from tasks.publishing.failures import PlaceFailed, PlaceRefused
from tasks.publishing.manifest import Difference
from tasks.publishing.release import Records

# Of an event; each path is at most 1,024 bytes, and events are small.
_MOST_PATHS = 100
_MOST_PATH_BYTES = 8 * 1024  # as JSON


def announce(
    job: JobContext,
    site: str,
    release: str,
    previous: str | None,
    *,
    url: str | None,
    change: Difference,
    forms_changed: int,
    cause: Literal["publish", "rollback"],
    target: str,
) -> None:
    """Emit ``site.published``, from which follow-ups know which pages to look at again."""
    paths: list[str] = []
    size = 0
    for path in islice(chain(change.changed, change.added, change.removed), _MOST_PATHS):
        size += len(json.dumps(path)) + 2
        if size > _MOST_PATH_BYTES:
            break
        paths.append(path)
    counts = {"added": len(change.added), "changed": len(change.changed), "removed": len(change.removed)}
    job.emit(
        SITE_PUBLISHED,
        {
            "site": site,
            "job_id": job.id,
            "release": release,
            "previous": previous,
            "url": url,
            "target": target,
            "cause": cause,
            **counts,
            "forms_changed": forms_changed,
            "paths": paths,
            "paths_complete": len(paths) == sum(counts.values()),
        },
    )


def page_urls(url: str | None, paths: Iterable[str], *, most: int = MAX_URLS_TOLD) -> tuple[str, ...] | None:
    """Return the addresses of the pages among ``paths``; None where they are not known, or too many to tell."""
    if url is None:
        return None
    found = tuple(sorted(address_of(url, path) for path in paths if is_page(path) and path != NOT_FOUND))
    is_much = len(found) > most or len(json.dumps(found)) > MAX_URLS_BYTES
    return None if is_much else found


def sweep(records: Records, job: JobContext, homes: Homes, home: Home, *, site: str, keep: int) -> int:
    """Remove all but the newest ``keep`` releases, the live and the previous one; return how many are kept.

    A target that the site has left keeps what was live there, for whoever still comes to it, and what is kept of what
    was made there.
    """
    known = records.site(job, site)
    always = {known.live, known.previous} if known else set()
    releases = records.kept(job, site)
    kept = [one for at, one in enumerate(releases) if at < keep or one.release in always]
    gone = [one.release for one in releases if one not in kept]
    job.checkpoint()
    if gone:
        records.forget(job, site, gone)
    freed = 0
    for target in {home.target, *(one.target for one in releases)}:
        needed = [one.release for one in kept if one.target == target]
        if target == home.target:
            freed += home.place.sweep(needed)
            continue
        try:
            freed += homes.named(job, site, target).place.sweep(needed)
        except (TargetUnknown, PlaceFailed, PlaceRefused) as exc:
            job.log(f"the target {target!r} is not swept: {exc.message}", level="warning")
    if freed:
        job.log(f"swept {freed:,} bytes that no kept release has")
    return len(kept)
