"""Discover a site: look at its pages, ask every source, try what is safe, and return the best tools.

What a page or a source fails at is told in the result and costs only itself. The job fails where the start page cannot
be had, or where nothing can be looked at with.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from tasks.core.job import JobContext
from tasks.core.web_address import canonical, origin_of
from tasks.discovery.contract import (
    MAX_INLINE_BYTES,
    SITE,
    TOOL,
    TOOLS_DISCOVERED,
    TOOLS_MEDIA_TYPE,
    TOOLS_NAME,
    Cost,
    MCPTool,
    SiteRequest,
    SiteResult,
    SourceCount,
    Timings,
    ToolRequest,
    ToolResult,
)
from tasks.discovery.engine.discretion import DiscreetJob, secrets_of, struck
from tasks.discovery.engine.dry_press import press_unsent
from tasks.discovery.engine.fetching import MAX_DOCUMENT_BYTES, REQUEST_LIMIT_S, SiteFetch
from tasks.discovery.engine.gathering import FindTools, gather
from tasks.discovery.engine.goal_match import GoalMatch
from tasks.discovery.engine.looking import Looking
from tasks.discovery.engine.merging import merge
from tasks.discovery.engine.notes import Notes
from tasks.discovery.engine.proving import AT_ONCE, Proving, StorageState
from tasks.discovery.engine.ranking import LEAST_MATCH, Ranked, rank, without_failures
from tasks.discovery.engine.running.sessions import SignedIn
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.walk import Walk, Walked
from tasks.discovery.engine.wording import LanguageModel, worded
from tasks.discovery.mcp_tool import mcp_tool
from tasks.discovery.pricing import Pricing, Usage
from tasks.discovery.tool import Source, Tool

# Gives the sign-in that is stored for a site.
OpenSession = Callable[[JobContext, str], StorageState]
# Notes what a job has cost, and how it went about it.
Charge = Callable[[JobContext, Cost, str], None]
# Hands tools to the registry: the job, the site, its tools, and the pages of which these are all; None: the whole site.
Record = Callable[[JobContext, str, Sequence[Tool], frozenset[str] | None], object]

# Names of tools that the domain event holds, which is small; the artifact has all of them.
_MAX_NAMES_TOLD = 50


@dataclass(frozen=True, slots=True)
class Discoverer:
    """Discovers sites.

    Args:
        sources: asked in this order.
        record: called once, when everything else is done.
        open_session: gives the sign-in that is stored for a site.
        charge: told once what the attempt has cost, whatever its end.
        proving: tries tools; None leaves their confidence open.
        model: words their titles and descriptions; None leaves them as the site has them.
    """

    sources: Sequence[FindTools]
    record: Record
    open_session: OpenSession
    charge: Charge
    pricing: Pricing = field(default_factory=Pricing)
    proving: Proving | None = None
    model: LanguageModel | None = None

    def discover_site(self, request: SiteRequest, job: JobContext) -> SiteResult:
        """Return the tools of a site, at most ``request.max_tools``.

        Raises:
            InputRejected: the start page does not exist, or the session does not.
            EgressRefused: it may not be visited.
            EngineUnavailable: there is no browser.
            Transient: it cannot be had just now.
        """
        with self._charged(job, SITE) as usage:
            return _Discovery(self, request, job, kind=SITE, usage=usage).run(max_tools=request.max_tools, least=0.0)

    def discover_tool(self, request: ToolRequest, job: JobContext) -> ToolResult:
        """Return the one tool of a site that serves the goal, if there is one; raises what ``discover_site`` does."""
        with self._charged(job, TOOL) as usage:
            found = _Discovery(self, request, job, kind=TOOL, usage=usage).run(max_tools=1, least=LEAST_MATCH)
        return ToolResult(**dict(found), is_found=found.tool_count > 0)

    @contextmanager
    def _charged(self, job: JobContext, kind: str) -> Iterator[Usage]:
        usage = Usage()
        try:
            yield usage
        finally:
            # The browser's clock also runs for attempts that fail.
            usage.browser_s = job.browser.seconds
            self.charge(job, self.pricing.cost(kind, usage), kind)


class _Discovery:
    """One discovery under way."""

    def __init__(
        self, parts: Discoverer, request: SiteRequest | ToolRequest, job: JobContext, *, kind: str, usage: Usage
    ) -> None:
        self._parts = parts
        self._request = request
        self._kind = kind
        self._is_named = isinstance(request, SiteRequest) and request.urls is not None
        self._used = usage
        self._goal = GoalMatch(request.goal)
        self._notes = Notes()
        self._spent_s = {"pages": 0.0, "sources": 0.0, "proof": 0.0}
        self._began = time.monotonic()
        start = canonical(request.url) or request.url
        self._origin = origin_of(start)
        self._session = parts.open_session(job, self._origin) if request.use_session else None
        self._hidden = secrets_of(self._session)
        self._job: JobContext = DiscreetJob(job, self._hidden)

    def run(self, *, max_tools: int, least: float) -> SiteResult:
        """Return what was found, after it was handed on."""
        walked, found, counts = self._look()
        merged = merge(found)
        ranked = self._tried(rank(merged, self._goal), max_tools, at_once=1 if walked.delay_s else AT_ONCE)
        tools = [one.tool for one in ranked if one.match >= least][:max_tools]
        if len(ranked) > len(tools):
            left = len(ranked) - len(tools)
            reason = "max_tools" if len(tools) == max_tools else "not_for_the_goal"
            self._notes.skip("tool", walked.origin, reason=reason, message=f"{left} tools serve the goal less.")
        tools = self._worded([struck(tool, self._hidden) for tool in tools])
        self._parts.record(self._job, walked.origin, tools, self._all_of(walked, tools, merged))
        self._save(walked, tools)
        return struck(self._result(walked, tools, found=len(merged), counts=counts), self._hidden)

    def _look(self) -> tuple[Walked, list[Tool], dict[Source, SourceCount]]:
        request, job = self._request, self._job
        with closing(job.http.client(total_timeout_s=REQUEST_LIMIT_S, max_bytes=MAX_DOCUMENT_BYTES)) as client:
            signed_in = SignedIn(self._session, self._origin) if self._session is not None else None
            fetch = SiteFetch(client, signed_in=signed_in, checkpoint=job.checkpoint)
            with self._timed("pages"):
                walked = Walk(
                    request,
                    job,
                    look=Looking(explores=request.options.explore),
                    fetch=fetch,
                    notes=self._notes,
                    serves=self._goal.of_words,
                    may_spend=self._may_spend,
                    storage_state=self._session,
                ).go()
                snapshots = tuple(walked.snapshots)
                if request.options.explore and self._may_spend():
                    snapshots = press_unsent(snapshots, job, session=self._session)
            with self._timed("sources"):
                site = Site(walked.origin, snapshots, fetch, fetch.post_json if request.options.explore else None)
                found, counts = gather(
                    site, self._parts.sources, wanted=request.options.sources, job=job, notes=self._notes
                )
        return walked, [tool for tool in found if self._is_of(tool, walked.origin)], counts

    def _is_of(self, tool: Tool, origin: str) -> bool:
        if tool.site == origin:
            return True
        self._notes.skip("tool", tool.name, reason="other_site", message=f"It belongs to {tool.site}.")
        return False

    def _tried(self, ranked: list[Ranked], max_tools: int, *, at_once: int) -> list[Ranked]:
        """Return the tools that passed their checks, ranked anew by what these have shown."""
        proving = self._parts.proving
        tools = [one.tool for one in ranked]
        if proving is not None and self._request.options.prove:
            with self._timed("proof"):
                tools = proving.prove_all(
                    tools,
                    self._job,
                    request=self._request,
                    session=self._session,
                    most=2 * max_tools + 5,
                    may_spend=self._may_spend,
                    at_once=at_once,
                )
        kept = without_failures(tools, self._notes, min_confidence=self._request.options.min_confidence)
        return rank(kept, self._goal)

    def _worded(self, tools: list[Tool]) -> list[Tool]:
        model = self._parts.model
        if model is None or not self._may_spend():
            return tools
        with self._timed("sources"):
            tools, used = worded(tools, model, self._job)
        self._used.tokens_in, self._used.tokens_out = used.tokens_in, used.tokens_out
        self._used.model_name, self._used.is_counted = used.model_name, used.is_counted
        return tools

    def _all_of(self, walked: Walked, tools: Sequence[Tool], merged: Sequence[Tool]) -> frozenset[str] | None:
        """The pages of which these are all tools; None: they are all of the site.

        They are so where nothing was cut, nothing failed, and nothing was left.
        """
        is_all = not self._request.options.sources and len(tools) == len(merged) and not self._notes.is_partial
        if not is_all or not walked.is_exhausted:
            return frozenset()
        return _pages_of(walked) if self._is_named else None

    def _save(self, walked: Walked, tools: Sequence[Tool]) -> None:
        content = {
            "site": walked.origin,
            "url": walked.start_url,
            "goal": self._request.goal,
            "tools": [tool.model_dump(mode="json") for tool in tools],
        }
        self._job.save(TOOLS_NAME, json.dumps(content, ensure_ascii=False).encode(), TOOLS_MEDIA_TYPE)
        event = {
            "site": walked.origin,
            "job_id": self._job.id,
            "url": walked.start_url,
            "goal": self._request.goal,
            "found": len(tools),
            "tools": [tool.name for tool in tools[:_MAX_NAMES_TOLD]],
            "artifact": TOOLS_NAME,
        }
        self._job.emit(TOOLS_DISCOVERED, event)

    def _result(
        self, walked: Walked, tools: Sequence[Tool], *, found: int, counts: Mapping[Source, SourceCount]
    ) -> SiteResult:
        kept = {source: sum(tool.source is source for tool in tools) for source in counts}
        self._job.report("done", len(tools), len(tools), f"{len(tools)} tools")
        return SiteResult(
            url=walked.start_url[:2048],
            site=walked.origin,
            goal=self._request.goal,
            tools=inline(tools),
            tool_count=len(tools),
            found=found,
            pages=tuple(walked.pages),
            sources={source: count.model_copy(update={"kept": kept[source]}) for source, count in counts.items()},
            skipped=tuple(self._notes.told),
            skipped_count=self._notes.count,
            is_partial=self._notes.is_partial,
            cost=self._parts.pricing.cost(self._kind, self._usage(), tools=len(tools)),
            timings=Timings(
                total=round(time.monotonic() - self._began, 3),
                **{name: round(spent_s, 3) for name, spent_s in self._spent_s.items()},
            ),
        )

    def _usage(self, extra_s: float = 0.0) -> Usage:
        return replace(self._used, browser_s=self._job.browser.seconds + extra_s)

    def _may_spend(self, extra_s: float = 0.0) -> bool:
        limit = self._request.max_cost
        if limit is None:
            return True
        total = self._parts.pricing.cost(self._kind, self._usage(extra_s)).total
        # What cannot be priced cannot be kept under a limit either.
        return total is not None and total < limit

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._spent_s[stage] += time.monotonic() - began


def _pages_of(walked: Walked) -> frozenset[str]:
    """The addresses that were looked at, or do not exist."""
    return frozenset(canonical(url) or url for url in (*(page.url for page in walked.pages), *walked.gone))


def inline(tools: Sequence[Tool]) -> tuple[MCPTool, ...]:
    """Return tools as MCP shows them, as many of the first as a result may hold."""
    shown, left = [], MAX_INLINE_BYTES
    for tool in tools:
        one = mcp_tool(tool)
        left -= len(json.dumps(one))
        if left < 0:
            break
        shown.append(one)
    return tuple(shown)
