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
class CachingDiscoverer(Generic[RequestT]):
    """A discoverer that looks before it works.

    Args:
        discover: does the work.
        known: where earlier answers are.
        stamp: see ``code_stamp``.
    """

    discover: Engine[RequestT]
    known: KnownResults
    stamp: Callable[[], str] = code_stamp

    def __call__(self, request: RequestT, job: JobContext) -> SiteResult:
        """Discover, unless an earlier job of the same tenant has the answer; then carry over what that one left."""
        key = key_of(request, stamp=self.stamp())
        if not request.force:
            earlier = self.known.find(job.id, key=key, max_age_s=request.cache_s)
            answer = None if earlier is None else self._carried_over(earlier, job)
            self.known.count(job.id, hit=answer is not None)
            if answer is not None:
                return answer
        result = self.discover(request, job)
        assert isinstance(result, SiteResult)  # noqa: S101  # engines are typed by their requests alone
        # What failed at a page may succeed at the next try; it is no answer for a day.
        if not result.is_partial:
            self.known.remember(job.id, fence=job.fence, key=key, ttl_s=request.cache_s)
        return result

    def _carried_over(self, earlier: KnownResult, job: JobContext) -> SiteResult | None:
        model = ToolResult if "is_found" in earlier.result else SiteResult
        result = carried_over(earlier, job, model=model, needs=lambda answer: [answer.artifact])
        if result is None:
            return None
        job.log(f"Answered from the earlier result of job {earlier.job_id}; force: true looks again.")
        job.report("cache", 100.0, 100.0, f"from job {earlier.job_id}")
        mark = CacheMark(hit=True, job=earlier.job_id, at=earlier.at)
        return result.model_copy(update={"cache": mark, "cost": Cost(currency=result.cost.currency)})
