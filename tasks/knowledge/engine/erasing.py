"""``knowledge.update`` with ``erase``: a site goes, whole, and is told to be gone however often the job is tried."""

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from tasks.core.errors import Permanent
from tasks.core.job import JobContext
from tasks.knowledge.contract import KNOWLEDGE_UPDATED, UpdateResult
from tasks.knowledge.records import Keeper, Model, OpenSite


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the first attempt found, for those after it: nothing may be left that tells them."""

    site_id: str
    version: int
    model: str
    dimensions: int
    pages: int


def erase(keeper: Keeper, name: str, job: JobContext) -> UpdateResult:
    """Let the site go that has this name, as it is when the job begins; one that is made anew meanwhile stays.

    Raises:
        NotFound: the tenant has no such site.
    """
    begun = _begun(keeper, name, job)
    site = OpenSite(begun.site_id, name, begun.version, Model(begun.model, begun.dimensions))
    try:
        is_left = True
        while is_left:
            begun = replace(begun, version=keeper.empty(site) + 1)
            job.resume.save(asdict(begun))
            is_left = not keeper.drop(site)
    except Permanent as exc:
        if exc.code != "site_erased":
            raise
        # It has gone already: by an earlier attempt, or by another job.
    job.emit(KNOWLEDGE_UPDATED, {"site": name, "version": begun.version, "job_id": job.id, "deleted": begun.pages})
    return UpdateResult(
        site=name,
        version=begun.version,
        model=begun.model,
        added=0,
        changed=0,
        unchanged=0,
        deleted=begun.pages,
        chunks=0,
    )


def _begun(keeper: Keeper, name: str, job: JobContext) -> _Begun:
    earlier = job.resume.load()
    if earlier is not None:
        return _Begun(**cast("dict[str, Any]", earlier))
    site, count = keeper.find_whole(name)
    begun = _Begun(site.id, site.version, site.model.name, site.model.dimensions, count)
    job.resume.save(asdict(begun))
    return begun
