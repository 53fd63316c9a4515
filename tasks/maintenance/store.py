"""The shelves that ``maintenance.sweep`` clears: the ledger's rows, the folders of artifacts, the streams."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import structlog

from tasks.core.artifacts import Artifacts
from tasks.core.clock import now
from tasks.core.events import EventsUnavailable
from tasks.core.ids import first_id_at
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, aging, cached_results, queries, tenants, uploads
from tasks.core.ledger.aging import Aged, Leftover
from tasks.core.ledger.uploads import Unused
from tasks.core.spec import JobSpec, Retention
from tasks.maintenance.contract import Freed

log = structlog.get_logger()

# An attempt that is just beginning has its folder before its files have rows; after a day nobody is beginning.
_ORPHAN_AFTER = timedelta(days=1)
_WORKERS_FOR = timedelta(days=1)
_PAUSES_FOR = timedelta(days=1)


def shelves_for(
    kernel: Kernel, specs: Mapping[str, JobSpec], job_id: str, older_than_hours: float | None
) -> "Sequence[OldResults | OldArtifacts | OldStreams | OldJobs | UnusedUploads | Leftovers | Orphans | LostUploads]":
    """List what the job may clear: all there is for the system's own tenant, what their jobs left for any other."""
    job = queries.job(kernel.ledger, job_id)
    tenant_id = None if job is None else job.tenant_id
    is_system = tenant_id is not None and tenants.name_of(kernel.ledger, tenant_id) == tenants.SYSTEM
    ages = _Ages(specs, now(), older_than_hours, None if is_system else tenant_id or "")
    of_jobs = (
        OldResults(kernel.ledger, ages.results()),
        OldArtifacts(kernel.ledger, kernel.artifacts, ages.artifacts()),
        OldStreams(kernel, ages.streams(shorter_than_s=kernel.settings.stream_ttl_s)),
        OldJobs(kernel, ages.rows()),
        UnusedUploads(kernel, Unused(ages.at - timedelta(seconds=kernel.settings.upload_keep_s), ages.tenant_id)),
    )
    if not is_system:
        return of_jobs
    keys_before = ages.at - timedelta(seconds=kernel.settings.idempotency_ttl_s)
    events_before = ages.at - timedelta(seconds=kernel.settings.outbox_keep_s)
    told_before = ages.at - timedelta(seconds=kernel.settings.callback_keep_s)
    changed_before = ages.at - timedelta(seconds=kernel.settings.audit_keep_s)
    return (
        *of_jobs,
        Leftovers("idempotency_keys", kernel.ledger, aging.expired_keys(before=keys_before)),
        Leftovers("domain_events", kernel.ledger, aging.old_events(before=events_before)),
        Leftovers("callback_deliveries", kernel.ledger, aging.old_deliveries(before=told_before)),
        Leftovers("audit", kernel.ledger, aging.old_changes(before=changed_before)),
        Leftovers("pauses", kernel.ledger, aging.ended_pauses(before=ages.at - _PAUSES_FOR)),
        Leftovers("cached_results", kernel.ledger, ages.cached_results()),
        Leftovers("workers", kernel.ledger, aging.ended_workers(before=ages.at - _WORKERS_FOR)),
        Leftovers("batches", kernel.ledger, aging.old_batches(before=ages.at - timedelta(seconds=Retention().row_s))),
        Leftovers("batch_callbacks", kernel.ledger, aging.callbacks_of_forgotten_batches()),
        Leftovers("ledger_streams", kernel.ledger, aging.expired_streams(at=ages.at)),
        *(
            Leftovers(one.name, kernel.ledger, aging.old_rows(one, at=ages.at))
            for one in dict.fromkeys(one for spec in specs.values() for one in spec.aging)
        ),
        Orphans(kernel.ledger, kernel.artifacts),
        LostUploads(kernel),
    )


@dataclass(frozen=True, slots=True)
class _Ages:
    """When a job must have ended, at the latest, for each sort of thing that it left to be old."""

    specs: Mapping[str, JobSpec]
    at: datetime
    older_than_hours: float | None
    tenant_id: str | None

    def results(self) -> Aged:
        return self._aged({kind: spec.retention.result_s for kind, spec in self.specs.items()}, Retention().row_s)

    def artifacts(self) -> Aged:
        seconds = {kind: spec.retention.artifacts_s for kind, spec in self.specs.items()}
        return self._aged(seconds, Retention().artifacts_s)

    def rows(self) -> Aged:
        return self._aged({kind: spec.retention.row_s for kind, spec in self.specs.items()}, Retention().row_s)

    def streams(self, *, shorter_than_s: float) -> Aged:
        """Leave out the kinds whose streams have expired by themselves when they are old."""
        seconds = {kind: spec.retention.stream_s for kind, spec in self.specs.items()}
        shorter = {kind: age_s if age_s < shorter_than_s else None for kind, age_s in seconds.items()}
        return self._aged(shorter, Retention().row_s)

    def cached_results(self) -> Leftover:
        """Entries go with the files that they would answer with."""
        aged = self.artifacts()
        before = {kind: time for kind, time in aged.before.items() if time is not None}
        return cached_results.outdated(before=before, before_otherwise=aged.before_otherwise)

    def _aged(self, seconds: Mapping[str, float | None], otherwise_s: float) -> Aged:
        if self.older_than_hours is not None:
            otherwise_s = self.older_than_hours * 3600
            seconds = dict.fromkeys(seconds, otherwise_s)
        before = {
            kind: None if age_s is None else self.at - timedelta(seconds=age_s) for kind, age_s in seconds.items()
        }
        return Aged(before, self.at - timedelta(seconds=otherwise_s), self.tenant_id)


@dataclass(frozen=True, slots=True)
class OldResults:
    """Results that go before their rows."""

    ledger: Ledger
    aged: Aged
    name: str = "results"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        if dry_run:
            yield Freed(rows=aging.count_old(self.ledger, self.aged, with_result=True))
            return
        while cleared := aging.clear_old_results(self.ledger, self.aged, limit=batch):
            yield Freed(rows=cleared)


@dataclass(frozen=True, slots=True)
class OldArtifacts:
    """Files, and their rows. Found by their folders: a job may have left a log and no row."""

    ledger: Ledger
    artifacts: Artifacts
    aged: Aged
    name: str = "artifacts"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        for job_ids in _in_batches(self.artifacts.job_ids(), batch):
            old = aging.old_among(self.ledger, self.aged, job_ids)
            if not old:
                yield Freed()
                continue
            files, size_bytes = _extent(self.artifacts, list(old))
            if not dry_run:
                freed, _ = aging.forget_artifacts(self.ledger, self.aged, old)
                for job_id, fence in freed.items():
                    self.artifacts.erase_until(job_id, fence)
            yield Freed(rows=len(old), files=files, size_bytes=size_bytes)


@dataclass(frozen=True, slots=True)
class OldStreams:
    """Live streams of kinds that keep theirs for a shorter time than all others; the rest expire by themselves."""

    kernel: Kernel
    aged: Aged
    name: str = "streams"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        last = ""
        while job_ids := aging.old_jobs(self.kernel.ledger, self.aged, limit=batch, after=last):
            last = job_ids[-1]
            erased = 0
            try:
                for job_id in job_ids:
                    if self.kernel.events.position(job_id) == (None, None):
                        continue
                    if not dry_run:
                        self.kernel.events.erase(job_id)
                    erased += 1
            except EventsUnavailable:
                return
            yield Freed(rows=erased)


@dataclass(frozen=True, slots=True)
class OldJobs:
    """Records, with whatever is still there of their jobs."""

    kernel: Kernel
    aged: Aged
    name: str = "jobs"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        if dry_run:
            yield Freed(rows=aging.count_old(self.kernel.ledger, self.aged))
            return
        while job_ids := aging.erase_old(self.kernel.ledger, self.aged, limit=batch):
            files, size_bytes = _extent(self.kernel.artifacts, job_ids)
            for job_id in job_ids:
                self.kernel.artifacts.erase(job_id)
            with suppress(EventsUnavailable):
                for job_id in job_ids:
                    self.kernel.events.erase(job_id)
            yield Freed(rows=len(job_ids), files=files, size_bytes=size_bytes)


@dataclass(frozen=True, slots=True)
class UnusedUploads:
    """Uploads that nobody uses and no job needs, finished or not. Comes after the jobs, which let go of theirs."""

    kernel: Kernel
    unused: Unused
    name: str = "uploads"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        files = self.kernel.uploads.files
        if dry_run:
            count, size_bytes = uploads.count_unused(self.kernel.ledger, self.unused)
            yield Freed(rows=count, files=count, size_bytes=size_bytes)
            return
        while upload_ids := uploads.forget_unused(self.kernel.ledger, self.unused, limit=batch):
            size_bytes = sum(files.size(upload_id) for upload_id in upload_ids)
            for upload_id in upload_ids:
                files.erase(upload_id)
            yield Freed(rows=len(upload_ids), files=len(upload_ids), size_bytes=size_bytes)


@dataclass(frozen=True, slots=True)
class LostUploads:
    """Folders of uploads that are not in the ledger: somebody died between deleting the row and the files."""

    kernel: Kernel
    name: str = "lost_uploads"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        files, ours = self.kernel.uploads.files, _Ours(self.kernel.ledger)
        for upload_ids in _in_batches(files.ids(), batch):
            unknown = ours.among(set(upload_ids) - uploads.known_among(self.kernel.ledger, upload_ids))
            lost = [one for one in unknown if files.changed_at(one) < ours.before]
            size_bytes = sum(files.size(upload_id) for upload_id in lost)
            if not dry_run:
                for upload_id in lost:
                    files.erase(upload_id)
            yield Freed(rows=len(lost), files=len(lost), size_bytes=size_bytes)
        ours.tell(self.name)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Rows of one table that belong to nobody any more."""

    name: str
    ledger: Ledger
    leftover: Leftover

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        if dry_run:
            yield Freed(rows=self.leftover.count(self.ledger))
            return
        while deleted := self.leftover.delete(self.ledger, limit=batch):
            yield Freed(rows=deleted)


@dataclass(frozen=True, slots=True)
class Orphans:
    """Folders of jobs that are not in the ledger: somebody died between erasing the row and the files."""

    ledger: Ledger
    artifacts: Artifacts
    name: str = "orphans"

    def clear(self, *, batch: int, dry_run: bool) -> Iterator[Freed]:
        """See ``engine.Shelf``."""
        ours = _Ours(self.ledger)
        for job_ids in _in_batches(self.artifacts.job_ids(), batch):
            unknown = ours.among(set(job_ids) - aging.known_among(self.ledger, job_ids))
            orphans = [one for one in unknown if self.artifacts.changed_at(one) < ours.before]
            files, size_bytes = _extent(self.artifacts, orphans)
            if not dry_run:
                for job_id in orphans:
                    self.artifacts.erase(job_id)
            yield Freed(rows=len(orphans), files=files, size_bytes=size_bytes)
        ours.tell(self.name)


class _Ours:
    """Tells which ids this ledger may have given out. What is older than it belongs to another ledger: this one is new
    or empty, perhaps by mistake, and the files are all that is left of the other's jobs."""

    def __init__(self, ledger: Ledger) -> None:
        self.before = now() - _ORPHAN_AFTER
        self._born_at = tenants.first_made_at(ledger)
        self._older = 0

    def among(self, ids: Collection[str]) -> list[str]:
        """Return those that are not older than the ledger, and count the others."""
        first = first_id_at(self._born_at)
        ours = sorted(one for one in ids if one >= first)
        self._older += len(ids) - len(ours)
        return ours

    def tell(self, shelf: str) -> None:
        """Warn of what stayed."""
        if self._older:
            log.warning(
                "files_older_than_the_ledger",
                shelf=shelf,
                folders=self._older,
                ledger_since=self._born_at.isoformat(),
                remedy="Check SWITCHYARD_LEDGER_URL; delete the folders by hand if no other ledger knows them.",
            )


def _extent(artifacts: Artifacts, job_ids: Sequence[str]) -> tuple[int, int]:
    extents = [artifacts.extent(job_id) for job_id in job_ids]
    return sum(files for files, _ in extents), sum(size for _, size in extents)


def _in_batches(ids: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(islice(ids, size)):
        yield batch
