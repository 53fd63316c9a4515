"""Makes a prepared release live, warms and verifies it, and takes it back where visitors get something else."""

from collections.abc import Iterable

from tasks.core.job import JobContext
from tasks.publishing.contract import Stage
from tasks.publishing.engine.places.place import Place, Turn
from tasks.publishing.engine.stages import Stages
from tasks.publishing.engine.verifying import VerificationFailed, verify, warm
from tasks.publishing.manifest import Manifest
from tasks.publishing.release import Records

_BEFORE = "live_before"


def reconciled(records: Records, job: JobContext, place: Place, site: str) -> str | None:
    """Return what was live before this job; note what is live now, if whoever made it so could not say it.

    An attempt that died after it had made its release live is followed by one that must know what was there before.
    """
    resumed = job.resume.load()
    if resumed is not None and _BEFORE in resumed:
        found = resumed[_BEFORE]
        return found if isinstance(found, str) else None
    live = place.pointer().release
    known = records.site(job, site)
    if live is not None and known is not None and known.live != live:
        records.mark_live(job, site, live)
    return live


def go_live(
    records: Records,
    job: JobContext,
    place: Place,
    stages: Stages,
    *,
    site: str,
    url: str | None,
    manifest: Manifest,
    before: str | None,
    changed: Iterable[str],
) -> int:
    """Make a prepared release live; return how many files were verified.

    Args:
        before: what was live before this job.
        changed: files that differ from it.

    Raises:
        VerificationFailed: what visitors got was something else; ``before`` is live again, where there was one.
    """
    release = manifest.release
    job.resume.save({_BEFORE: before})
    with stages.stage(Stage.ACTIVATING):
        place.activate(release, Turn(job.id, job.fence))
    records.mark_live(job, site, release)
    try:
        with stages.stage(Stage.WARMING):
            warm(manifest, job, url=url, changed=changed)
        with stages.stage(Stage.VERIFYING):
            return verify(manifest, job, place, url=url, changed=changed)
    except VerificationFailed as exc:
        if before is None or before == release:
            raise VerificationFailed(f"{exc.message} There is no other release to go back to.") from exc
        place.activate(before, Turn(job.id, job.fence, step=1))
        records.mark_live(job, site, before)
        job.log(f"rolled back to {before[:12]}", level="warning")
        raise VerificationFailed(f"{exc.message} Release {before[:12]} is live again.") from exc
