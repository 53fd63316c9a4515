"""The same discovery again: when it is the same, and what then comes of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.core.egress import Egress
from tasks.core.known_results import KnownFile, KnownResult
from tasks.discovery.caching import Answers, CachingDiscoverer, code_stamp, key_of
from tasks.discovery.contract import (
    DiscoveryOptions,
    PageSeen,
    SiteRequest,
    SiteResult,
    ToolRequest,
    ToolResult,
)
from tests.fakes import FakeJob

URL = "https://Example.org/shop#top"
AT = datetime(2026, 1, 2, tzinfo=UTC)


def key(stamp: str = "v1", **changes: Any) -> str:
    return key_of(SiteRequest(**({"url": URL, "goal": "tea"} | changes)), stamp=stamp)


@pytest.mark.parametrize("changes", [{"url": "https://example.org:443/shop"}, {"force": True}, {"cache_s": 60}])
def test_spelling_and_freshness_make_no_other_question(changes: dict[str, Any]) -> None:
    """The address is canonical; how old an answer may be is no part of it."""
    assert key() == key(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://example.org/"},
        {"goal": "coffee"},
        {"max_tools": 3},
        {"max_pages": 3},
        {"allow": ("read", "write")},
        {"use_session": True},
        {"options": DiscoveryOptions(prove=False)},
        {"stamp": "v2"},
    ],
)
def test_whatever_may_change_the_answer_makes_another(changes: dict[str, Any]) -> None:
    """Also another version of the code."""
    assert key() != key(**changes)


def test_the_stamp_is_of_the_code_that_is_there() -> None:
    """Version, and a digest of the family's files; the same as long as they are."""
    assert code_stamp().startswith("switchyard ")
    assert code_stamp() == code_stamp.__wrapped__()


@dataclass
class Known:
    """What a test says is known, and what it was asked."""

    earlier: KnownResult | None = None
    asked: list[float | None] = field(default_factory=list)
    counted: list[bool] = field(default_factory=list)
    remembered: list[float | None] = field(default_factory=list)

    def find(self, job_id: str, *, key: str, max_age_s: float | None = None) -> KnownResult | None:
        self.asked.append(max_age_s)
        return self.earlier

    def count(self, job_id: str, *, key: str, hit: bool) -> None:
        self.counted.append(hit)

    def remember(self, job_id: str, *, fence: int, key: str, ttl_s: float | None = None) -> None:
        self.remembered.append(ttl_s)


def result(**changes: Any) -> SiteResult:
    facts: dict[str, Any] = {
        "url": "https://example.org/shop",
        "site": "https://example.org",
        "goal": "tea",
        "tools": ({"name": "search"},),
        "tool_count": 1,
        "found": 1,
        "pages": (PageSeen(url="https://example.org/shop", status=200),),
        "sources": {},
        "cost": {"total": 0.5, "browser": 0.5},
    }
    return SiteResult.model_validate(facts | changes)


def earlier(tmp_path: Path, *, name: str = "tools.json", answer: SiteResult | None = None) -> KnownResult:
    path = tmp_path / "kept"
    path.write_text("[]")
    file = KnownFile(name, path, "application/json")
    return KnownResult("job-0", AT, (answer or result()).model_dump(mode="json"), (file,))


@pytest.fixture
def job(tmp_path: Path) -> FakeJob:
    return FakeJob(tmp_path, Egress())


def discovered(known: Known, job: FakeJob, answer: SiteResult | None = None, **changes: Any) -> tuple[SiteResult, int]:
    """The answer, and how often the work was done."""
    done: list[str] = []

    def work(request: SiteRequest, _job: Any) -> SiteResult:
        done.append(request.url)
        return answer or result()

    request = SiteRequest(url=URL, **changes)
    return CachingDiscoverer(lambda: work, Answers(known, stamp=lambda: "v1"))(request, job), len(done)


def test_an_earlier_answer_is_given_with_its_file_and_costs_nothing(tmp_path: Path, job: FakeJob) -> None:
    """And says whose it is and from when."""
    known = Known(earlier(tmp_path))
    answer, worked = discovered(known, job)
    assert (0, True, "job-0", AT) == (worked, answer.cache.hit, answer.cache.job, answer.cache.at)
    assert 0.0 == answer.cost.total
    assert {"tools.json"} == set(job.saved)
    assert ([True], []) == (known.counted, known.remembered)


def test_a_miss_does_the_work_and_is_remembered_for_as_long_as_was_asked(job: FakeJob) -> None:
    """A day unless said otherwise."""
    known = Known()
    answer, worked = discovered(known, job)
    discovered(known, job, cache_s=3600)
    assert (1, False, 0.5) == (worked, answer.cache.hit, answer.cost.total)
    assert ([False, False], [86_400, 3600], [86_400, 3600]) == (known.counted, known.remembered, known.asked)


def test_force_asks_nobody_and_is_remembered(tmp_path: Path, job: FakeJob) -> None:
    """The next one may have the fresh answer."""
    known = Known(earlier(tmp_path))
    assert 1 == discovered(known, job, force=True)[1]
    assert ([], [], [86_400]) == (known.asked, known.counted, known.remembered)


def test_an_answer_without_its_file_is_none(tmp_path: Path, job: FakeJob) -> None:
    """It is worked out again."""
    known = Known(earlier(tmp_path, name="other.txt"))
    assert 1 == discovered(known, job)[1]
    assert [False] == known.counted


def test_a_partial_answer_is_not_remembered(job: FakeJob) -> None:
    """What failed at a page may succeed at the next try."""
    known = Known()
    discovered(known, job, result(is_partial=True))
    assert [] == known.remembered


def test_the_one_tool_is_answered_as_such(tmp_path: Path, job: FakeJob) -> None:
    """With whether it was found."""
    one = ToolResult(**dict(result()), is_found=True)
    known = Known(earlier(tmp_path, answer=one))

    def work(_request: ToolRequest, _job: Any) -> ToolResult:
        raise AssertionError("it was known")

    answer = CachingDiscoverer(lambda: work, Answers(known, stamp=lambda: "v1"))(ToolRequest(url=URL, goal="tea"), job)
    assert isinstance(answer, ToolResult)
    assert (True, True) == (answer.is_found, answer.cache.hit)
