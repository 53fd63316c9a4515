"""Whole discoveries of a local shop, with a real Chromium."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, InputRejected, JobCancelled, Transient
from tasks.discovery.contract import (
    TOOLS_DISCOVERED,
    Cost,
    DiscoveryOptions,
    SiteRequest,
    SiteResult,
    ToolRequest,
)
from tasks.discovery.engine.discover import Discoverer
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.proving import Proving
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.wording import LanguageModel
from tasks.discovery.tool import Check, CheckName, Effect, Source, Tool
from tests.discovery.local_shop import LocalShop, find_messages, find_search, local_shop
from tests.discovery.test_run_tool import SID, TOKEN, signed_in
from tests.fakes import FakeJob

COUNTS = ("prompt_tokens", "completion_tokens")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]


@pytest.fixture
def shop() -> Iterator[LocalShop]:
    with local_shop() as served:
        yield served


@pytest.fixture(scope="module")
def browsers() -> Iterator[Callable[[str], WarmBrowser]]:
    """A browser that may visit this endpoint; the newest is kept warm."""
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium here: make setup installs it")
    kept: dict[str, WarmBrowser] = {}

    def browser(endpoint: str) -> WarmBrowser:
        if endpoint not in kept:
            while kept:
                kept.popitem()[1].close()
            kept[endpoint] = WarmBrowser(BrowserOptions(policy=EgressPolicy(allow=frozenset({endpoint}))))
        return kept[endpoint]

    yield browser
    for one in kept.values():
        one.close()


@dataclass
class Bench:
    """What a discovery is made of, and what it handed on."""

    shop: LocalShop
    job: FakeJob
    recorded: list[tuple[str, list[str], bool]] = field(default_factory=list)
    charged: list[tuple[Cost, str]] = field(default_factory=list)
    sources: tuple[Any, ...] = (find_search, find_messages)
    session: dict[str, Any] = field(default_factory=dict)
    tools: list[Tool] = field(default_factory=list)
    pages: list[frozenset[str] | None] = field(default_factory=list)
    model: LanguageModel | None = None
    proving: Proving | None = None

    def discoverer(self) -> Discoverer:
        return Discoverer(
            self.sources,
            record=self._record,
            open_session=lambda _job, _site: self.session,
            charge=lambda _job, cost, method: self.charged.append((cost, method)),
            proving=self.proving,
            model=self.model,
        )

    def _record(
        self, _job: object, site: str, tools: Sequence[Tool], all_of: frozenset[str] | None
    ) -> None:  # as it is called
        self.pages.append(all_of)
        self.recorded.append((site, [one.name for one in tools], all_of is None))
        self.tools += tools

    def discover(self, **changes: Any) -> SiteResult:
        request = SiteRequest(**({"url": f"{self.shop.origin}/"} | changes))
        return self.discoverer().discover_site(request, self.job)


@pytest.fixture
def bench(shop: LocalShop, browsers: Callable[[str], WarmBrowser], tmp_path: Path) -> Iterator[Bench]:
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress:
        job = FakeJob(tmp_path, egress)
        job.browser = JobBrowser(browsers(shop.endpoint), job)
        yield Bench(shop, job)


def skipped(result: SiteResult) -> set[tuple[str, str]]:
    return {(one.what, one.reason) for one in result.skipped}


def test_a_shop_is_discovered(bench: Bench) -> None:
    """Its pages are seen, its tools found once each, handed on, kept, charged and told."""
    result = bench.discover(goal="search for tea")
    assert 10 == len(result.pages)
    assert ["search", "send_message"] == [one["name"] for one in result.tools]
    assert (2, 2, False) == (result.tool_count, result.found, result.is_partial)
    assert "on 10 pages that were looked at" in result.tools[0]["_meta"]["switchyard/evidence"]
    assert result.tools[0]["_meta"]["switchyard/confidence"] is None
    assert [(bench.shop.origin, ["search", "send_message"], False)] == bench.recorded
    kept = json.loads(bench.job.saved["tools.json"])
    assert [Tool.model_validate(one).name for one in kept["tools"]] == ["search", "send_message"]
    ((type_, data),) = [(one.type, one.data) for one in bench.job.emissions.emitted]
    assert (TOOLS_DISCOVERED, bench.shop.origin, 2) == (type_, data["site"], data["found"])
    ((cost, method),) = bench.charged
    assert method == "discovery.site"
    assert cost.total == result.cost.total > 0
    assert {"pages", "sources", "done"} == {report.stage for report in bench.job.reports}
    assert any("Found search (form)" in line for line in bench.job.lines)


def test_a_sign_in_is_in_nothing_that_is_told(bench: Bench) -> None:
    """Not in results, files, events, tools and logs, although the site repeats it in addresses and forms."""
    bench.session = signed_in(bench.shop.origin)
    told = f"{SID} {TOKEN}"
    bench.shop.pages["/"] = f"<h1>{told}</h1><a href='/broken?token={TOKEN}'>Broken</a>"
    bench.shop.statuses["/broken"] = 500

    def find_echoes(site: Site) -> list[Tool]:
        (snapshot, *_) = site.snapshots
        assert told in snapshot.html
        (tool,) = find_search(Site(site.origin, (snapshot,), site.fetch))
        return [tool.model_copy(update={"description": told, "examples": ({"q": SID},)})]

    class Model(LanguageModel):
        def ask(self, _task: str, told: str) -> dict[str, Any]:
            asked.append(told)
            words = {"name": "search", "title": "Search", "description": f"Finds {told}."}
            content = json.dumps({"tools": [words]})
            return {"choices": [{"message": {"content": content}}], "usage": dict.fromkeys(COUNTS, 1000)}

    asked: list[str] = []
    bench.sources, bench.model = (find_echoes,), Model("http://model.test/v1", "gpt-4o-mini")
    result = bench.discover(use_session=True, max_pages=2)
    (tool,) = bench.tools
    assert ("*** ***", ({"q": "***"},)) == (tool.description, tool.examples)
    assert {("page", "failed")} == skipped(result)
    assert result.skipped[0].name.endswith("/broken?token=***")
    assert "*** ***" in tool.words.description
    assert (1000, 1000, "gpt-4o-mini", 0.00075) == (
        result.cost.tokens_in,
        result.cost.tokens_out,
        result.cost.model_name,
        result.cost.model,
    )
    assert bench.charged == [(result.cost.model_copy(update={"per_tool": None}), "discovery.site")]
    job = bench.job
    everything = [*asked, result.model_dump_json(), repr(bench.tools), str(job.lines), str(job.saved), str(job.reports)]
    everything.append(str([one.data for one in job.emissions.emitted]))
    assert [] == [secret for secret in (SID, TOKEN) if secret in "".join(everything)]


def test_only_safe_links_of_the_site_are_followed(bench: Bench) -> None:
    """No sign-out, no deletion, nothing that robots.txt keeps for itself, and no file."""
    result = bench.discover(max_pages=50)
    hits = bench.shop.hits
    assert 0 == hits["/logout"] + hits["/cart"] + hits["/private/x"] + hits["/brochure.pdf"] + hits["/send"]
    assert {("link", "unsafe"), ("link", "other_site"), ("link", "not_html"), ("link", "robots")} == skipped(result)
    assert {0, 1, 2} == {page.depth for page in result.pages}


def test_a_site_that_was_seen_whole_is_recorded_as_such(bench: Bench) -> None:
    """So that tools which it has no more can be told from tools that were not looked for."""
    bench.shop.pages["/products"] = "<p>Sold out."
    bench.discover(max_pages=50)
    bench.discover(max_pages=50, max_tools=1)
    bench.discover(max_pages=2)
    bench.discover(max_pages=50, max_depth=1)
    assert [True, False, False, False] == [whole for _, _, whole in bench.recorded]


def test_only_pages_that_are_named_are_looked_at(bench: Bench) -> None:
    """And the first one; of what is not there, and of nothing else, it is known that its tools are gone."""
    origin = bench.shop.origin
    named = [f"{origin}/contact", f"{origin}/was", f"{origin}/private/x", "http://elsewhere.test/", f"{origin}/#top"]
    result = bench.discover(urls=named, max_pages=1)
    assert [f"{origin}/", f"{origin}/contact"] == [page.url for page in result.pages]
    assert {("page", "gone"), ("link", "robots"), ("link", "other_site")} == skipped(result)
    assert (["search", "send_message"], False) == bench.recorded[0][1:]
    assert {f"{origin}/", f"{origin}/contact", f"{origin}/was"} == bench.pages[0]
    bench.shop.statuses["/contact"] = 500
    assert 1 == len(bench.discover(urls=named).pages)
    assert not bench.pages[1], "who knows what would have been there"
    assert 1 == len(bench.discover(urls=[]).pages)


def test_robots_that_cannot_be_read_keep_it_to_the_start_page(bench: Bench) -> None:
    """Which was asked for by name; unless the caller knows better."""
    bench.shop.robots = (503, "")
    assert 1 == len(bench.discover().pages)
    assert 1 < len(bench.discover(options=DiscoveryOptions(respect_robots=False)).pages)


def test_pages_that_fail_are_told_and_cost_only_themselves(bench: Bench) -> None:
    """One is gone, one leads away, one leads to a page that was seen."""
    bench.shop.pages["/"] += "<a href=/gone>Gone</a>"
    bench.shop.statuses["/about"] = 500
    result = bench.discover(max_pages=50)
    assert result.is_partial
    failed = {one.name.removeprefix(bench.shop.origin): one.message for one in result.skipped if one.reason == "failed"}
    assert {"/gone": "It answered 404.", "/about": "It answered 500."} == failed
    assert "search" == result.tools[0]["name"]


def test_a_page_that_never_ends_costs_only_itself(bench: Bench) -> None:
    """Its script keeps the tab; the browser goes with it, and another one goes on."""
    bench.shop.pages["/about"] = "<script>for (;;) {}</script>"
    result = bench.discover(max_pages=50, options=DiscoveryOptions(page_timeout_s=3))
    assert result.is_partial
    assert {f"{bench.shop.origin}/about"} == {one.name for one in result.skipped if one.reason == "failed"}
    assert {"/contact", "/products"} <= {page.url.removeprefix(bench.shop.origin) for page in result.pages}
    assert ["search", "send_message"] == [one["name"] for one in result.tools]


@pytest.mark.parametrize(("times", "looks"), [(1, 1), (2, 0)])
def test_a_page_on_which_attempts_end_is_left_out(bench: Bench, times: int, looks: int) -> None:
    """Once may be chance; after twice the third attempt goes on without it."""
    bench.job.resume.state = {"looking": {f"{bench.shop.origin}/about": times}, "tried": ["x"]}
    bench.shop.pages["/products"] = "<p>Sold out."
    result = bench.discover(max_pages=50)
    assert looks == bench.shop.hits["/about"]
    assert (looks == 0) is any("Earlier attempts" in one.message for one in result.skipped)
    assert ["x"] == (bench.job.resume.state or {})["tried"]


def test_a_source_that_fails_is_told_and_the_others_go_on(bench: Bench) -> None:
    """A bug in one is no reason to lose the rest."""

    def broken(site: Site) -> list[Tool]:
        raise KeyError(site.origin)

    broken.__module__ = "tasks.discovery.engine.sources.openapi"
    bench.sources = (broken, find_search)
    result = bench.discover(max_pages=1)
    assert ["search"] == [one["name"] for one in result.tools]
    assert result.sources[Source.OPENAPI].failed
    assert ("source", "failed") in skipped(result)
    assert not bench.recorded[0][2]


@pytest.mark.parametrize(("path", "status", "error"), [("/nowhere", 404, InputRejected), ("/about", 503, Transient)])
def test_a_start_page_that_cannot_be_had_fails_the_job(
    bench: Bench, path: str, status: int, error: type[Exception]
) -> None:
    """For good where it does not exist; else another attempt may find it. What was used is charged."""
    bench.shop.statuses[path] = status
    with pytest.raises(error, match=str(status)):
        bench.discover(url=f"{bench.shop.origin}{path}")
    assert 1 == len(bench.charged)
    assert [] == bench.recorded


def test_a_start_page_that_may_not_be_visited_fails_the_job(bench: Bench) -> None:
    """The guard has the last word."""
    with pytest.raises(EgressRefused):
        bench.discover(url="http://127.0.0.1:9/")


def test_a_cancelled_discovery_stops_while_it_walks(bench: Bench) -> None:
    """At the next page, and hands nothing on."""
    bench.job.cancel_after = 2
    with pytest.raises(JobCancelled):
        bench.discover(max_pages=50)
    assert [] == bench.recorded
    assert bench.job.emissions.emitted == []


def test_a_cost_limit_ends_the_walk(bench: Bench) -> None:
    """After the start page, which says what there is to be paid for."""
    result = bench.discover(max_cost=0.0)
    assert 1 == len(result.pages)
    assert ("page", "max_cost") in skipped(result)


def test_the_one_tool_for_a_goal(bench: Bench) -> None:
    """Or none, where nothing serves it."""
    at = f"{bench.shop.origin}/"
    found = bench.discoverer().discover_tool(
        ToolRequest(url=at, goal="send a message to the shop", max_pages=5), bench.job
    )
    assert (True, ["send_message"]) == (found.is_found, [one["name"] for one in found.tools])
    none = bench.discoverer().discover_tool(ToolRequest(url=at, goal="play chess", max_pages=1), bench.job)
    assert (False, ()) == (none.is_found, none.tools)
    assert ("tool", "not_for_the_goal") in skipped(none)


def proving(tried: list[str], *, fails: str = "") -> Proving:
    """Notes what it was let try; the tool of one name fails its check."""

    @contextmanager
    def runner(_job: Any, _session: Any) -> Iterator[Callable[[Tool, dict[str, Any]], Outcome]]:
        def run(_tool: Tool, _arguments: dict[str, Any]) -> Outcome:
            raise AssertionError("this proof runs nothing")

        yield run

    def prove(tool: Tool, _run: Any, *, compare: object, allow_write: bool) -> Tool:
        if tool.effect is Effect.WRITE and not allow_write:
            return tool
        tried.append(tool.name)
        return tool.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=tool.name != fails),)})

    def assess(tool: Tool) -> float:
        return 0.9 if tool.checks else 0.4

    return Proving(prove, assess, runner)


def test_only_what_the_caller_allows_is_tried(bench: Bench) -> None:
    """Reading by default; a form that sends something only where that was said, and only once for a job."""
    tried: list[str] = []
    bench.proving = proving(tried)
    bench.discover(max_pages=5)
    assert ["search"] == tried
    tried.clear()
    bench.discover(max_pages=5, allow=("read", "write"))
    assert ["search", "send_message"] == tried
    assert ["send_message"] == (bench.job.resume.state or {})["tried"]
    tried.clear()
    bench.discover(max_pages=5, allow=("read", "write"))
    assert ["search"] == tried


def test_what_fails_its_own_check_is_not_published(bench: Bench) -> None:
    """Nor what was assessed as too unsure for the caller."""
    bench.proving = proving([], fails="search")
    result = bench.discover(max_pages=5)
    assert ["send_message"] == [one["name"] for one in result.tools]
    assert ("tool", "failed_check") in skipped(result)
    bench.proving = proving([])
    result = bench.discover(max_pages=5, options=DiscoveryOptions(min_confidence=0.5))
    assert [("search", 0.9)] == [(one["name"], one["_meta"]["switchyard/confidence"]) for one in result.tools]
    assert ("tool", "low_confidence") in skipped(result)


def test_sources_can_be_chosen(bench: Bench) -> None:
    """Then what was found is not all that the site has."""
    result = bench.discover(max_pages=1, options=DiscoveryOptions(sources=(Source.OPENAPI,)))
    assert () == result.tools
    assert not bench.recorded[0][2]
