"""Where a site is at home: its place, and the caches in front of it. A site may move; what is kept moves with it."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tasks.core.job import JobContext
from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.publishing.engine.places.place import Place
from tasks.publishing.engine.purging import Caches
from tasks.publishing.manifest import Manifest
from tasks.publishing.release import Release, Site
from tasks.publishing.targets import TargetUnknown

__all__ = ["Home", "Homes", "TargetUnknown"]


@dataclass(frozen=True, slots=True)
class Home:
    """One site in one target."""

    place: Place
    caches: Caches = field(default_factory=Caches)
    target: str = DEFAULT_TARGET


class Homes(Protocol):
    """The homes of the job's tenant."""

    def wanted(self, job: JobContext, site: str) -> Home:
        """Return where the operator wants the site now."""

    def named(self, job: JobContext, site: str, target: str) -> Home:
        """Return the site's home in a target.

        Raises:
            TargetUnknown: it is not declared any more.
        """


def home_before(homes: Homes, job: JobContext, known: Site | None, home: Home) -> Home | None:
    """Return where a site that moves to ``home`` is live until then.

    Returns:
        None: it does not move, or nobody knows the target any more.
    """
    if known is None or known.live is None or known.target == home.target:
        return None
    job.log(f"{known.name} moves from the target {known.target!r} to {home.target!r}")
    try:
        return homes.named(job, known.name, known.target)
    except TargetUnknown:
        job.log(f"the target {known.target!r} is not declared any more: all files count as new", level="warning")
        return None


def bring(homes: Homes, job: JobContext, home: Home, release: Release) -> Manifest:
    """Return the manifest of a kept release, which is servable at ``home`` from now on, wherever it was made.

    Raises:
        TargetUnknown: it lies in a target that is not declared any more.
        PlaceFailed: it is not where it is said to be, or there is no room.
    """
    if release.target == home.target:
        return home.place.manifest(release.release)
    there = homes.named(job, release.site, release.target).place
    manifest = there.manifest(release.release)
    job.log(f"bringing release {release.release[:12]} from the target {release.target!r}")
    with TemporaryDirectory(dir=job.workdir) as folder:
        for stored in sorted(home.place.lacks(manifest.all_stored()), key=lambda one: one.sha256):
            job.checkpoint()
            content = Path(folder, stored.sha256)
            with content.open("wb") as file:
                file.writelines(there.content(stored))
            home.place.put(stored, content)
            content.unlink()
    home.place.prepare(manifest)
    return manifest
