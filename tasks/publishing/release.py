"""A release as it is recorded: what the engine tells and the store keeps. Light: the web process loads this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.publishing.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """A release that is ready to be live.

    Args:
        added, changed, removed: how many files differ from what was live when it was made.
        changed_bytes: of what was added or changed.
        target: where it lies.
    """

    site: str
    manifest: Manifest
    is_preview: bool
    url: str | None
    by: str
    note: str
    added: int
    changed: int
    removed: int
    changed_bytes: int
    target: str = DEFAULT_TARGET


@dataclass(frozen=True, slots=True)
class Release:
    """A release as it is kept."""

    site: str
    release: str
    job_id: str
    is_preview: bool
    by: str
    note: str
    created_at: datetime
    activated_at: datetime | None
    files: int
    size_bytes: int
    added: int
    changed: int
    removed: int
    changed_bytes: int
    stages: Mapping[str, float] = field(default_factory=dict)
    target: str = DEFAULT_TARGET


@dataclass(frozen=True, slots=True)
class Site:
    """A site of a tenant; ``target`` is where it is live, or was put first."""

    name: str
    url: str | None
    live: str | None
    previous: str | None
    created_at: datetime
    updated_at: datetime
    target: str = DEFAULT_TARGET


class Act(StrEnum):
    """What makes another release live, as the book of changes calls it."""

    PUBLISHED = "site.published"
    ROLLED_BACK = "site.rolled_back"
    TAKEN_BACK = "site.taken_back"
    """A release that did not verify; what was live before is live again."""
    FOUND = "site.found_live"
    """It was live before the ledger knew: whoever made it so died before that could be noted."""


class Owner(Protocol):
    """Of a job: who it is, and which of its claims."""

    @property
    def id(self) -> str:
        """The job's id."""

    @property
    def fence(self) -> int:
        """Grows with each claim."""


class Records(Protocol):
    """Keeps sites and releases. Each call is one transaction of a job, for the job's tenant.

    All but ``site`` and ``kept`` raise ``JobSuperseded`` where another claim owns the job.
    """

    def take_turn(self, job: Owner, site: str) -> bool:
        """Take the site for this job, or line up for it; True once it is this job's.

        It stays its own until ``leave`` or until this attempt has ended, however that was.
        """

    def leave(self, job: Owner, site: str) -> None:
        """Give the site to the next in line."""

    def site(self, job: Owner, site: str) -> Site | None:
        """Return what is known of the site."""

    def keep(self, job: Owner, facts: ReleaseFacts) -> None:
        """Keep a release; the same bytes again are the same release."""

    def mark_live(self, job: Owner, site: str, release: str, act: Act, *, target: str = DEFAULT_TARGET) -> None:
        """Note that the release is live in a target, what was live before as the previous one, and both in the book of
        changes. Again is harmless.
        """

    def take_back(
        self, job: Owner, site: str, release: str, *, previous: str | None, target: str = DEFAULT_TARGET
    ) -> None:
        """Note that the release is live again, as ``mark_live`` does; ``previous`` is what was live before it."""

    def note_purge(self, job: Owner, site: str, *, urls: int, tags: Sequence[str]) -> None:
        """Write into the book of changes that caches were made to forget so many addresses, and these tags."""

    def note_stages(self, job: Owner, site: str, release: str, stages: Mapping[str, float]) -> None:
        """Note how long making the release took."""

    def kept(self, job: Owner, site: str) -> list[Release]:
        """Return the releases of the site, newest first by when they were made or last made live."""

    def forget(self, job: Owner, site: str, releases: list[str]) -> None:
        """Forget releases; neither the live one nor the previous one can be."""
