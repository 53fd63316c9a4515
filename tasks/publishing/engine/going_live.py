"""Makes a prepared release live, warms and verifies it, and takes it back where visitors get something else."""

from dataclasses import dataclass

from tasks.core.job import JobContext
from tasks.publishing.contract import Stage
from tasks.publishing.engine.homes import Home
from tasks.publishing.engine.places.place import Turn
from tasks.publishing.engine.purging import purge_changed
from tasks.publishing.engine.smoke import Budget
from tasks.publishing.engine.stages import Stages
from tasks.publishing.engine.verifying import VerificationFailed, open_pages, verify, warm
from tasks.publishing.manifest import Difference, Manifest
from tasks.publishing.release import Act, Records

_PREVIOUS = "previous_before"
_BEFORE = "live_before"
_TARGET = "live_before_in"


@dataclass(frozen=True, slots=True)
class Before:
    """What was live before a job: which release, and in which target; None: nothing."""

    release: str | None
    target: str


def reconciled(records: Records, job: JobContext, home: Home, site: str) -> Before:
    """Return what was live before this job; note what is live now, if whoever made it so could not say it.

    An attempt that died after it had made its release live is followed by one that must know what was there before.
    """
    resumed = job.resume.load()
    if resumed is not None and _BEFORE in resumed:
        found, target = resumed[_BEFORE], resumed.get(_TARGET)
        return Before(found if isinstance(found, str) else None, target if isinstance(target, str) else home.target)
    known = records.site(job, site)
    if known is not None and known.live is not None and known.target != home.target:
        # It moves. What lies in its new target, from when it was there or from an attempt that failed, nobody sees.
        return Before(known.live, known.target)
    live = home.place.pointer().release
    if live is not None and known is not None and known.live != live:
        records.mark_live(job, site, live, Act.FOUND, target=home.target)
    return Before(live, home.target)


def go_live(
    records: Records,
    job: JobContext,
    home: Home,
    stages: Stages,
    *,
    site: str,
    url: str | None,
    manifest: Manifest,
    before: Before,
    act: Act,
    change: Difference,
    opened: Budget | None = None,
) -> int:
    """Make a prepared release live; return how many files were verified.

    Args:
        before: what was live before this job; in another target, if the site moves.
        act: what makes it live, for the book of changes.
        change: what differs from it.
        opened: a browser opens some of its pages, too, and each may load so much; needs ``url``. None: it does not.

    Raises:
        PurgeFailed: it is live, but a cache may show what was before.
        VerificationFailed: what visitors got was something else; ``before`` is live again, where there was one.
    """
    release, place, caches = manifest.release, home.place, home.caches
    previous = _previous(records, job, site)
    job.resume.save({_BEFORE: before.release, _TARGET: before.target, _PREVIOUS: previous})
    with stages.stage(Stage.ACTIVATING):
        place.activate(release, Turn(job.id, job.fence))
    records.mark_live(job, site, release, act, target=home.target)
    changed = (*change.added, *change.changed)
    different = (*changed, *change.removed)
    try:
        with stages.stage(Stage.WARMING):
            purge_changed(caches, job, site=site, url=url, changed=different)
            warm(manifest, job, url=url, changed=changed)
        with stages.stage(Stage.VERIFYING):
            verified = verify(manifest, job, place, url=url, changed=changed)
            if opened is not None and url is not None:
                open_pages(manifest, job, url, changed=changed, budget=opened)
            return verified
    except VerificationFailed as exc:
        if before.release is None or before == Before(release, home.target):
            raise VerificationFailed(f"{exc.message} There is no other release to go back to.") from exc
        if before.target == home.target:
            place.activate(before.release, Turn(job.id, job.fence, step=1))
        records.take_back(job, site, before.release, previous=previous, target=before.target)
        purge_changed(caches, job, site=site, url=url, changed=different)
        where = "is live again" if before.target == home.target else f"stays live in the target {before.target!r}"
        job.log(f"rolled back to {before.release[:12]}", level="warning")
        raise VerificationFailed(f"{exc.message} Release {before.release[:12]} {where}.") from exc


def _previous(records: Records, job: JobContext, site: str) -> str | None:
    """What was live before that which was live before this job."""
    resumed = job.resume.load()
    if resumed is not None and _PREVIOUS in resumed:
        found = resumed[_PREVIOUS]
        return found if isinstance(found, str) else None
    known = records.site(job, site)
    return None if known is None else known.previous
