"""Counting what became of every URL."""

import time
from collections import Counter
from typing import Literal, Self

from tasks.crawling.contract import MAX_ERRORS_SHOWN, CrawlResult, SkippedPages, StopReason
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.records import FailureReason, PageError

SkipReason = Literal["robots", "scope", "type", "duplicate", "overflow", "trap", "noindex"]

_COUNTS = ("pages_ok", "pages_without_text", "visits", "fetched_bytes", "deepest", "sitemap_urls")


class Tally:
    """Counts of one crawl, from its start; those of its earlier attempts count too."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._earlier_s = 0.0
        self._skipped: Counter[SkipReason] = Counter()
        self._failed: Counter[FailureReason] = Counter()
        self._errors: list[PageError] = []
        self.pages_ok = 0
        self.pages_without_text = 0
        self.visits = 0
        self.fetched_bytes = 0
        self.deepest = 0
        self.sitemap_urls = 0
        self.unanswered_in_a_row = 0

    @classmethod
    def of(cls, state: CrawlState) -> Self:
        """Return the counts as the last transaction left them."""
        tally = cls()
        if (kept := state.fact("tally")) is None:
            return tally
        tally._earlier_s = kept["elapsed_s"]
        tally._skipped.update(kept["skipped"])
        tally._failed.update({FailureReason(reason): count for reason, count in kept["failed"].items()})
        tally._errors = state.errors(MAX_ERRORS_SHOWN)
        for name in _COUNTS:
            setattr(tally, name, kept.get(name, 0))  # what another version has begun may lack one
        return tally

    def keep_in(self, state: CrawlState) -> None:
        """Keep the counts, as part of the transaction around this."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        state.keep_fact(
            "tally", {**counts, "elapsed_s": self.elapsed_s, "skipped": self._skipped, "failed": self._failed}
        )

    @property
    def pages_failed(self) -> int:
        """Pages that failed so far."""
        return self._failed.total()

    @property
    def elapsed_s(self) -> float:
        """Seconds that were spent on the crawl."""
        return self._earlier_s + time.monotonic() - self._started

    def keep(self, *, size_bytes: int, depth: int, has_text: bool) -> None:
        """Count a page that was kept."""
        self.pages_ok += 1
        self.pages_without_text += not has_text
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
        """Return the summary; who made and compared the texts is for others to add."""
        duration_s = self.elapsed_s
        return CrawlResult(
            start_url=start_url,
            pages_ok=self.pages_ok,
            pages_without_text=self.pages_without_text,
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
