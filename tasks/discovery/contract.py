"""What discoveries and runs of tools are asked and what they answer. Light to import: the web process loads this."""

import math
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema, model_validator

from tasks.core.spec import FAST, Aging, Contract, JobSpec, Option, Queue
from tasks.core.web_url import WebURL
from tasks.discovery.goal import MAX_GOAL_CHARS, Goal
from tasks.discovery.keeping import RUN_LOG
from tasks.discovery.tool import Effect, Source, Tool

SITE = "discovery.site"
TOOL = "discovery.tool"
RUN = "discovery.run"
TOOLS_DISCOVERED = "tools.discovered"
"""The domain event at a discovery's end: site, job_id, url, goal, tools (names), found, artifact."""
TOOLS_NAME: Literal["tools.json"] = "tools.json"
TOOLS_MEDIA_TYPE = "application/json"
VALUE_NAME: Literal["value.json"] = "value.json"
MAX_TOOLS = 100
DAY_S = 86_400
MAX_PAGES = 100
MAX_URLS = MAX_PAGES - 1
# A result is read whole by every poll; what is beyond this is in an artifact.
MAX_INLINE_BYTES = 160 * 1024
MAX_NOTES = 100

RanIn = Literal["http", "browser"]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Money = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Arguments = Annotated[dict[str, Any], Field(max_length=200)]


def _floored(value: object) -> object:
    """Older clients send fractions; they mean the whole number below."""
    if isinstance(value, float) and math.isfinite(value) and 1 <= value <= MAX_TOOLS:
        return math.floor(value)
    return value


ToolCount = Annotated[
    int,
    Field(ge=1, le=MAX_TOOLS),
    BeforeValidator(_floored),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": MAX_TOOLS}),
]


class Prefer(StrEnum):
    """How a tool is run."""

    AUTO = "auto"
    """A plain request where evidence says that it is equal to what a browser sends, else a browser."""
    HTTP = "http"
    """A plain request, or a refusal."""
    BROWSER = "browser"


class DiscoveryOptions(Contract):
    """How a site is looked at. The defaults suit nearly every site."""

    sources: Annotated[tuple[Source, ...], Field(max_length=len(Source))] = Field(
        (), description="Look only for tools of these sources; empty: of all."
    )
    prove: bool = Field(True, description="Run what is safe to run, to see whether it does what it says.")
    explore: bool = Field(True, description="Use safe controls of each page, to see the requests of its scripts.")
    open_deletions: bool = Field(
        False,
        description="Open the pages behind links that say delete, to find the form that asks first: plain links only, "
        "on pages whose own forms carry tokens against forgery. A site that deletes on a GET all the same loses that "
        "item! What is found there is never run.",
    )
    respect_robots: bool = Field(True, description="Follow no link that robots.txt disallows.")
    delay_s: float = Field(
        0.0,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Least seconds between two pages of the site; a longer Crawl-delay wins.",
    )
    page_timeout_s: float = Field(30.0, ge=1, le=60, allow_inf_nan=False, description="Limit on loading one page.")
    min_confidence: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="Leave out tools that were assessed below this."
    )


class _Discovery(Contract):
    url: WebURL = Field(description="Where to begin; http or https.")
    max_pages: int = Field(10, ge=1, le=MAX_PAGES, description="Pages looked at, the first included.")
    max_depth: int = Field(2, ge=0, le=5, description="Links followed from the first page; 0 looks at that page only.")
    allow: Annotated[tuple[Literal["read", "write"], ...], Field(max_length=2)] = Field(
        ("read",),
        description="What tools may be run as proof, by what they do to the site. `write` sends forms! "
        "What deletes, or changes an account, is never run.",
    )
    use_session: bool = Field(False, description="Look with the sign-in that is stored for the site of `url`.")
    options: DiscoveryOptions = DiscoveryOptions()
    max_cost: float | None = Field(
        None,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="In the currency of the price table: no page is begun and no tool is tried beyond it.",
    )
    cache_s: int = Field(
        DAY_S,
        ge=60,
        le=7 * DAY_S,
        description="An earlier discovery of the same that is younger than this answers, in seconds.",
    )
    force: bool = Field(False, description="Look again, even where an earlier discovery would answer.")


class SiteRequest(_Discovery):
    """Find the tools of a site: those that serve the goal best, or simply the surest."""

    goal: Goal = Field(
        "",
        description=f"What the tools are wanted for. Control characters, scripts and handlers are taken out, and it is "
        f"cut at {MAX_GOAL_CHARS} characters.",
    )
    max_tools: ToolCount = Field(10, description="Tools returned at most; a fraction is floored.")
    urls: Annotated[tuple[WebURL, ...], Field(max_length=MAX_URLS)] | None = Field(
        None,
        description="Besides `url`, look at these pages of its site and at nothing else: no link is followed, and "
        "`max_pages` and `max_depth` do not count. What was found on one of them before, and is there no more, is "
        "gone. Null: the site.",
    )


class ToolRequest(_Discovery):
    """Find the one tool of a site that serves a goal."""

    goal: Goal = Field(min_length=1, description=f"As for `{SITE}`; nothing may not be left of it.")

    @model_validator(mode="after")
    def _has_goal(self) -> Self:
        if not self.goal:
            raise ValueError("nothing is left of goal once scripts and control characters are taken out")
        return self


class RunRequest(Contract):
    """Run a tool once: one of the registry, or one that is sent along."""

    tool_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="A tool of the registry."
    )
    tool: Tool | None = Field(None, description="A tool as `tools.json` of a discovery has it, instead of `tool_id`.")
    arguments: Arguments = Field(default_factory=dict, description="Inputs, as the tool's input schema has them.")
    allow_effects: Annotated[tuple[Effect, ...], Field(max_length=len(Effect))] = Field(
        (Effect.READ, Effect.WRITE),
        description="What the run may do to the site; a tool that does more is refused. `destroy` must be named.",
    )
    prefer: Prefer = Field(Prefer.AUTO, description="How to run it.")
    use_session: bool = Field(False, description="Run it with the sign-in that is stored for its site.")

    @model_validator(mode="after")
    def _names_one_tool(self) -> Self:
        if (self.tool_id is None) == (self.tool is None):
            raise ValueError("name exactly one of tool_id and tool")
        return self


class Cost(Contract):
    """What a job cost by the price table. Null: a price is not known, and then neither is the total."""

    currency: str = "USD"
    model: Money | None = Field(0.0, description="Tokens of a language model.")
    browser: Money | None = Field(0.0, description="Time of the browser.")
    runs: Money | None = Field(0.0, description="The flat price of the job itself.")
    total: Money | None = 0.0
    browser_s: Seconds = 0.0
    tokens_in: Count = 0
    tokens_out: Count = 0
    model_name: str = Field("", max_length=200)
    per_tool: Money | None = Field(None, description="The total by tools found; null where none was.")


class CacheMark(Contract):
    """That an earlier job's answer was given again."""

    hit: bool = False
    job: str | None = Field(None, max_length=36, description="The job that found it out.")
    at: AwareDatetime | None = Field(None, description="When.")


class PageSeen(Contract):
    """A page that was looked at."""

    url: str = Field(max_length=2048)
    status: Annotated[int, Field(ge=100, le=999)]
    title: str = Field("", max_length=200)
    depth: Annotated[int, Field(ge=0, le=10)] = 0
    forms: Count = 0
    requests: Count = Field(0, description="Requests of its scripts that were seen.")
    took_s: Seconds = 0.0


class Skipped(Contract):
    """Something that was left out, and why."""

    what: Literal["page", "source", "tool", "link"]
    name: str = Field(max_length=2048)
    reason: str = Field(
        max_length=100,
        description="`failed`, `gone`, `robots`, `other_site`, `max_pages`, `max_cost`, `max_tools`, `not_html`, "
        "`unsafe`, `duplicate`, `low_confidence`, `too_slow` …",
    )
    message: str = Field("", max_length=500)


class SourceCount(Contract):
    """What one source came to."""

    found: Count = 0
    kept: Count = 0
    failed: bool = False


class Timings(Contract):
    """Where the time went, in seconds."""

    pages: Seconds = 0.0
    sources: Seconds = 0.0
    proof: Seconds = 0.0
    total: Seconds = 0.0


# As a client of the Model Context Protocol reads it: name, title, description, inputSchema, outputSchema, annotations,
# and under _meta where it is from, what is known of it and how sure that is.
MCPTool = dict[str, Any]

# A year and a month: budgets and summaries look at whole months.
_COSTS = Aging(name="job_costs", table="job_costs", key="job_id", time="at", keep_s=400 * DAY_S)


class SiteResult(Contract):
    """The tools of a site, best first."""

    url: str = Field(max_length=2048, description="Where the first page was found in the end.")
    site: str = Field(max_length=2048, description="Scheme, host and port.")
    goal: str = Field(max_length=MAX_GOAL_CHARS)
    tools: Annotated[tuple[MCPTool, ...], Field(max_length=MAX_TOOLS)] = Field(
        description=f"MCP tools. Where they are more than {MAX_INLINE_BYTES} bytes, the rest is in the artifact only."
    )
    tool_count: Count = Field(description="Tools in the artifact.")
    found: Count = Field(description="Distinct tools found, before the cut to `max_tools`.")
    artifact: Literal["tools.json"] = Field(TOOLS_NAME, description="Every tool, with how it is run.")
    pages: Annotated[tuple[PageSeen, ...], Field(max_length=MAX_PAGES)]
    sources: dict[Source, SourceCount]
    skipped: Annotated[tuple[Skipped, ...], Field(max_length=MAX_NOTES)] = Field(
        (), description="The first things that were left out."
    )
    skipped_count: Count = 0
    is_partial: bool = Field(False, description="A page or a source failed: there may be more tools.")
    cost: Cost = Cost()
    cache: CacheMark = CacheMark()
    timings: Timings = Timings()


class ToolResult(SiteResult):
    """The one tool for a goal; none where nothing on the site serves it."""

    is_found: bool


class RunResult(Contract):
    """What a tool answered."""

    tool: str = Field(max_length=100)
    site: str = Field(max_length=2048)
    status: Annotated[int, Field(ge=0, le=999)]
    url: str = Field(max_length=4096, description="Where the run ended.")
    media_type: str = Field("", max_length=200)
    value: Any = Field(None, description="The typed output; null where it is so large that only the artifact has it.")
    items: Count = Field(0, description="Repeated records in it.")
    artifact: Literal["value.json"] | None = Field(None, description="Where the output is, if it is large.")
    fits_output_schema: bool | None = Field(None, description="Null: the tool has no output schema.")
    ran_in: RanIn
    took_s: Seconds
    cost: Cost = Cost()


_PAGE = "https://shop.example.org/"

SPECS = (
    JobSpec(
        kind=SITE,
        queue=Queue.CRAWLER,
        request=SiteRequest,
        result=SiteResult,
        summary="Find what a site can do, as tools that programs can call: forms, APIs, lists, each with evidence.",
        soft_limit_s=900,
        hard_limit_s=930,
        retry=FAST,
        capabilities=frozenset({"chromium", "playwright"}),
        example={"url": _PAGE, "goal": "find products by name and price", "max_tools": 10},
        aging=(_COSTS,),
    ),
    JobSpec(
        kind=TOOL,
        queue=Queue.CRAWLER,
        request=ToolRequest,
        result=ToolResult,
        summary="Find the one tool of a site that serves a goal.",
        soft_limit_s=900,
        hard_limit_s=930,
        retry=FAST,
        capabilities=frozenset({"chromium", "playwright"}),
        example={"url": _PAGE, "goal": "search for products"},
    ),
    JobSpec(
        kind=RUN,
        queue=Queue.CRAWLER,
        request=RunRequest,
        result=RunResult,
        summary="Run a tool once with arguments; the answer is checked against the tool's output schema.",
        soft_limit_s=120,
        hard_limit_s=135,
        retry=FAST,
        options=(Option("prefer", "browser", "chromium"),),
        example={"tool_id": "01890000-0000-7000-8000-000000000000", "arguments": {"q": "tea"}},
        aging=(RUN_LOG,),
    ),
)
