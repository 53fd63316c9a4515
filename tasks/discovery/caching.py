"""The same discovery again is answered from the earlier one while that is young, and says so."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Generic, TypeVar

from tasks.core.job import Engine, JobContext
from tasks.core.known_results import KnownResult, KnownResults, carried_over
from tasks.core.version import VERSION
from tasks.core.web_address import canonical
from tasks.discovery.contract import CacheMark, Cost, SiteRequest, SiteResult, ToolRequest, ToolResult

# Says how fresh an answer must be, not which it is.
_NOT_IN_KEY = frozenset({"url", "force", "cache_s"})

RequestT = TypeVar("RequestT", SiteRequest, ToolRequest)


def key_of(request: SiteRequest | ToolRequest, *, stamp: str) -> str:
    """Return what two requests share exactly when they have the same answer, as SHA-256 in hexadecimal.

    Args:
        stamp: what tells one version of the code from another.
    """
    same = {
        "stamp": stamp,
        "url": canonical(request.url) or request.url,
        "request": request.model_dump(mode="json", exclude=set(_NOT_IN_KEY)),
    }
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


@cache
def code_stamp() -> str:
    """Return the version, with a digest of this family's files: what we would find otherwise now is no answer."""
    digest = hashlib.sha256()
    for file in _files(resources.files("tasks.discovery")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"switchyard {VERSION}, {digest.hexdigest()[:16]}"


def _files(folder: Traversable) -> list[Traversable]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _files(entry)
        elif entry.name.endswith((".py", ".json", ".js")):
            found.append(entry)
    return found


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier discovery that answers a job, and the job's question."""

    key: str
    known: KnownResult

    def given_again(self, job: JobContext) -> SiteResult | None:
        """Return it as this job's own answer, its file included; None where it cannot be had whole any more."""
        model = ToolResult if "is_found" in self.known.result else SiteResult
        result = carried_over(self.known, job, model=model, needs=lambda answer: [answer.artifact])
        if result is None:
            return None
        job.log(f"Answered from the earlier result of job {self.known.job_id}; force: true looks again.")
        job.report("cache", 100.0, 100.0, f"from job {self.known.job_id}")
        mark = CacheMark(hit=True, job=self.known.job_id, at=self.known.at)
        return result.model_copy(update={"cache": mark, "cost": Cost(currency=result.cost.currency)})


@dataclass(frozen=True, slots=True)
class Answers:
    """Finds the earlier discovery that answers a request.

    Args:
        known: where earlier answers are.
        stamp: see ``code_stamp``.
    """

    known: KnownResults
    stamp: Callable[[], str] = code_stamp

    def key_of(self, request: SiteRequest | ToolRequest) -> str:
        """Return what the answer to this request is kept under."""
        return key_of(request, stamp=self.stamp())

    def find(self, request: SiteRequest | ToolRequest, job_id: str) -> Earlier | None:
        """Return the answer that the job may have; None where there is none, or none is wanted."""
        if request.force:
            return None
        key = self.key_of(request)
        known = self.known.find(job_id, key=key, max_age_s=request.cache_s)
        return None if known is None else Earlier(key, known)

    def give(self, earlier: Earlier, job: JobContext) -> SiteResult | None:
        """Return the earlier answer as the job's own, and count it; None where it cannot be had whole any more."""
        answer = earlier.given_again(job)
        if answer is not None:
            self.known.count(job.id, key=earlier.key, hit=True)
        return answer


@dataclass(frozen=True, slots=True)
class CachingDiscoverer(Generic[RequestT]):
    """A discoverer that looks before it works.

    Args:
        load: makes the one that does the work, which takes long to load; called where there is work.
    """

    load: Callable[[], Engine[RequestT]]
    answers: Answers

    def __call__(self, request: RequestT, job: JobContext) -> SiteResult:
        """Discover, unless an earlier job of the same tenant has the answer; then carry over what that one left."""
        earlier = self.answers.find(request, job.id)
        answer = None if earlier is None else self.answers.give(earlier, job)
        if answer is not None:
            return answer
        known, key = self.answers.known, self.answers.key_of(request)
        if not request.force:
            known.count(job.id, key=key, hit=False)
        result = self.load()(request, job)
        assert isinstance(result, SiteResult)  # noqa: S101  # engines are typed by their requests alone
        # What failed at a page may succeed at the next try; it is no answer for a day.
        if not result.is_partial:
            known.remember(job.id, fence=job.fence, key=key, ttl_s=request.cache_s)
        return result
