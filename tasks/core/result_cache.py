"""Earlier answers, found in the ledger and among the artifacts; where there is Redis, by way of pointers copied there.

A pointer, like an entry of the ledger, only says which job answers. The job's own row and files do, so that an erased
job answers nothing, wherever it was remembered; and a Redis that was wiped has lost nothing but time.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from tasks.core.artifacts import Artifacts
from tasks.core.errors import LedgerUnavailable, NotFound
from tasks.core.known_results import KnownFile, KnownResult
from tasks.core.ledger import Ledger, cached_results, queries
from tasks.core.ledger.cached_results import Bounds, Entry
from tasks.core.settings import Settings

MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class ResultCache:
    """Implements ``tasks.core.known_results.KnownResults``. A ledger that is away knows nothing.

    Args:
        max_entries: of one tenant and kind; None: as many as there are.
    """

    ledger: Ledger
    artifacts: Artifacts
    max_entries: int | None = None

    def find(self, job_id: str, *, key: str, max_age_s: float | None = None) -> KnownResult | None:
        """See ``KnownResults``."""
        try:
            entry = cached_results.find(self.ledger, job_id, key=key, max_age_s=max_age_s)
            return None if entry is None else _with_files(self.artifacts, entry)
        except (LedgerUnavailable, NotFound):  # a file went before its row
            return None

    def count(self, job_id: str, *, key: str, hit: bool) -> None:
        """See ``KnownResults``."""
        with suppress(LedgerUnavailable):
            cached_results.count_lookup(self.ledger, job_id, hit=hit, key=key)

    def remember(self, job_id: str, *, fence: int, key: str, ttl_s: float | None = None) -> None:
        """See ``KnownResults``."""
        with suppress(LedgerUnavailable):
            bounds = Bounds(ttl_s, self.max_entries)
            cached_results.remember(self.ledger, job_id, fence=fence, key=key, bounds=bounds)

    def close(self) -> None:
        """Hold nothing."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which claim of which job answers, how old that is and for how long it still does, in seconds."""

    job_id: str
    fence: int
    age_s: float
    left_s: float


class Pointers(Protocol):
    """A bounded store of copies that all processes share. Away, it knows nothing and raises nothing."""

    def get(self, shelf: str, key: str) -> Pointer | None:
        """Return the entry, as the one that was used last."""

    def put(self, shelf: str, key: str, pointer: Pointer, *, max_entries: int) -> None:
        """Keep an entry for as long as it is left; those of the shelf that were used longest ago make room."""

    def drop(self, shelf: str, *keys: str) -> None:
        """Forget entries."""

    def close(self) -> None:
        """Close its connections."""


@dataclass(slots=True)
class SharedResultCache:
    """``KnownResults`` with copies of its pointers in the process and in a store that all processes share.

    The ledger is the truth: what the copies do not have is looked up there and copied anew, and room is made there.
    An entry lives exactly as long as was said when it was written: being read, here or there, prolongs nothing.
    Threads may share it.
    """

    ledger: Ledger
    artifacts: Artifacts
    pointers: Pointers
    max_entries: int = MAX_ENTRIES
    clock: Callable[[], float] = time.monotonic
    _near: OrderedDict[tuple[str, str], tuple[Pointer, float]] = field(default_factory=OrderedDict)
    _turning: Lock = field(default_factory=Lock)

    def find(self, job_id: str, *, key: str, max_age_s: float | None = None) -> KnownResult | None:
        """See ``KnownResults``."""
        try:
            shelf = self._shelf(job_id)
            if shelf is None:
                return None
            entry = self._pointed_at(job_id, shelf, key, max_age_s) or self._written(job_id, shelf, key, max_age_s)
            return None if entry is None else _with_files(self.artifacts, entry)
        except (LedgerUnavailable, NotFound):
            return None

    def count(self, job_id: str, *, key: str, hit: bool) -> None:
        """See ``KnownResults``."""
        with suppress(LedgerUnavailable):
            cached_results.count_lookup(self.ledger, job_id, hit=hit, key=key)

    def remember(self, job_id: str, *, fence: int, key: str, ttl_s: float | None = None) -> None:
        """See ``KnownResults``; without ``ttl_s`` for a day."""
        ttl_s = 86_400.0 if ttl_s is None else ttl_s
        with suppress(LedgerUnavailable):
            shelf, bounds = self._shelf(job_id), Bounds(ttl_s, self.max_entries)
            done = cached_results.remember(self.ledger, job_id, fence=fence, key=key, bounds=bounds)
            if shelf is None or done is None:
                return
            self._copy(shelf, key, Pointer(job_id, fence, 0.0, ttl_s))
            self._drop(shelf, *done.evicted)

    def _shelf(self, job_id: str) -> str | None:
        """Name what a job's entries share: tenant and kind, so that nothing crosses from one to another."""
        job = queries.job(self.ledger, job_id)
        return None if job is None else f"{job.tenant_id}:{job.kind}"

    def _pointed_at(self, job_id: str, shelf: str, key: str, max_age_s: float | None) -> Entry | None:
        pointer = self._pointer(shelf, key)
        if pointer is None or (max_age_s is not None and pointer.age_s >= max_age_s):
            return None
        of = (pointer.job_id, pointer.fence)
        entry = cached_results.find(self.ledger, job_id, key=key, max_age_s=max_age_s, of=of)
        if entry is None:
            self._drop(shelf, key)
        return entry

    def _written(self, job_id: str, shelf: str, key: str, max_age_s: float | None) -> Entry | None:
        """Ask the ledger: the copies may have been lost, or be older than what another process has written since."""
        entry = cached_results.find(self.ledger, job_id, key=key, max_age_s=max_age_s)
        if entry is not None and entry.left_s is not None:
            self._copy(shelf, key, Pointer(entry.job_id, entry.fence, entry.age_s, entry.left_s))
        return entry

    def _pointer(self, shelf: str, key: str) -> Pointer | None:
        with self._turning:
            near = self._near.get((shelf, key))
            if near is not None:
                pointer, since = near
                gone_s = self.clock() - since
                if gone_s < pointer.left_s:
                    self._near.move_to_end((shelf, key))
                    return Pointer(pointer.job_id, pointer.fence, pointer.age_s + gone_s, pointer.left_s - gone_s)
                del self._near[shelf, key]
        found = self.pointers.get(shelf, key)
        if found is not None:
            self._keep_near((shelf, key), found)
        return found

    def _copy(self, shelf: str, key: str, pointer: Pointer) -> None:
        self.pointers.put(shelf, key, pointer, max_entries=self.max_entries)
        self._keep_near((shelf, key), pointer)

    def _keep_near(self, name: tuple[str, str], pointer: Pointer) -> None:
        with self._turning:
            self._near[name] = (pointer, self.clock())
            self._near.move_to_end(name)
            while len(self._near) > self.max_entries:
                self._near.popitem(last=False)

    def _drop(self, shelf: str, *keys: str) -> None:
        with self._turning:
            for key in keys:
                self._near.pop((shelf, key), None)
        self.pointers.drop(shelf, *keys)

    def close(self) -> None:
        """Hold nothing any more."""
        with self._turning:
            self._near.clear()
        self.pointers.close()


def open_result_cache(settings: Settings, ledger: Ledger, artifacts: Artifacts) -> ResultCache | SharedResultCache:
    """Return where this process finds earlier answers: in the ledger alone where there is no Redis."""
    if not settings.needs_redis:
        return ResultCache(ledger, artifacts, max_entries=MAX_ENTRIES)
    from tasks.core.redis_pointers import RedisPointers  # noqa: PLC0415  # each profile loads only its own

    return SharedResultCache(ledger, artifacts, RedisPointers(settings.redis_url))


def _with_files(artifacts: Artifacts, entry: Entry) -> KnownResult:
    records = artifacts.list(entry.job_id, entry.fence, entry.attempt)
    files = tuple(
        KnownFile(one.name, artifacts.path(entry.job_id, entry.fence, one.name), one.media_type) for one in records
    )
    return KnownResult(entry.job_id, entry.at, entry.result, files)
