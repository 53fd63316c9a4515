"""Earlier answers, found in the ledger and among the artifacts."""

from contextlib import suppress
from dataclasses import dataclass

from tasks.core.artifacts import Artifacts
from tasks.core.errors import LedgerUnavailable, NotFound
from tasks.core.known_results import KnownFile, KnownResult
from tasks.core.ledger import Ledger, cached_results


@dataclass(frozen=True, slots=True)
class ResultCache:
    """Implements ``tasks.core.known_results.KnownResults``. A ledger that is away knows nothing."""

    ledger: Ledger
    artifacts: Artifacts

    def find(self, job_id: str, *, key: str) -> KnownResult | None:
        """See ``KnownResults``."""
        try:
            entry = cached_results.find(self.ledger, job_id, key=key)
            if entry is None:
                return None
            records = self.artifacts.list(entry.job_id, entry.fence, entry.attempt)
            files = tuple(
                KnownFile(one.name, self.artifacts.path(entry.job_id, entry.fence, one.name), one.media_type)
                for one in records
            )
        except (LedgerUnavailable, NotFound):  # a file went before its row
            return None
        return KnownResult(entry.job_id, entry.at, entry.result, files)

    def count(self, job_id: str, *, hit: bool) -> None:
        """See ``KnownResults``."""
        with suppress(LedgerUnavailable):
            cached_results.count_lookup(self.ledger, job_id, hit=hit)

    def remember(self, job_id: str, *, fence: int, key: str) -> None:
        """See ``KnownResults``."""
        with suppress(LedgerUnavailable):
            cached_results.remember(self.ledger, job_id, fence=fence, key=key)
