"""Counting what became of every URL."""

import time
from collections import Counter
from typing import Literal

from tasks.crawling.contract import (
    MAX_ERRORS_SHOWN,
    CrawlResult,
    FailureReason,
    PageError,
    SkippedPages,
    StopReason,
)

SkipReason = Literal["robots", "scope", "type", "duplicate", "overflow", "trap"]


class Tally:
    """Counts of one crawl, from its start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._skipped: Counter[SkipReason] = Counter()
        self._failed: Counter[FailureReason] = Counter()
        self._errors: list[PageError] = []
        self.pages_ok = 0
        self.visits = 0
        self.fetched_bytes = 0
        self.deepest = 0
        self.sitemap_urls = 0
        self.unanswered_in_a_row = 0

    @property
    def pages_failed(self) -> int:
        """Pages that failed so far."""
        return self._failed.total()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the crawl began."""
        return time.monotonic() - self._started

    def keep(self, *, size_bytes: int, depth: int) -> None:
        """Count a page that was kept."""
        self.pages_ok += 1
        self.fetched_bytes += size_bytes
        self.deepest = max(self.deepest, depth)
        self.unanswered_in_a_row = 0

    def skip(self, reason: SkipReason) -> None:
        """Count a URL that was found and not kept."""
        self._skipped[reason] += 1

    def fail(self, error: PageError) -> None:
        """Count a page that failed; the first few are kept for the result."""
        self._failed[error.reason] += 1
        if len(self._errors) < MAX_ERRORS_SHOWN:
            self._errors.append(error)
        is_unanswered = error.reason in {FailureReason.TIMEOUT, FailureReason.CONNECTION}
        self.unanswered_in_a_row = self.unanswered_in_a_row + 1 if is_unanswered else 0

    def result(self, *, start_url: str, delay_s: float, stopped_by: StopReason) -> CrawlResult:
        """Return the summary."""
        duration_s = self.elapsed_s
        return CrawlResult(
            start_url=start_url,
            pages_ok=self.pages_ok,
            pages_failed=self.pages_failed,
            failed_by_reason=dict(self._failed),
            skipped=SkippedPages.model_validate(dict(self._skipped)),
            deepest=self.deepest,
            sitemap_urls=self.sitemap_urls,
            fetched_bytes=self.fetched_bytes,
            duration_s=round(duration_s, 3),
            pages_per_second=round(self.pages_ok / duration_s, 3) if duration_s else 0.0,
            delay_s=delay_s,
            stopped_by=stopped_by,
            is_mostly_failed=self.pages_failed > self.pages_ok,
            errors=tuple(self._errors),
        )
