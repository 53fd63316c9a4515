"""The older tool discovery service's paths under ``/api/walt``: discover, execute, and its tools."""

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, Field, model_validator

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.walt import (
    ENDED_OTHERWISE,
    Host,
    KeyQuery,
    WaltDeleted,
    WaltDiscovery,
    answer_discovery,
    named_tool,
    unfinished,
)
from app.compat.walt_words import WaltTool, described, tool_of, walt_paths
from app.discovery import KindStats, cache_of
from app.errors import FieldsRejected, Refusal
from app.inputs import WHOLE_NUMBER, Input, Text
from app.openapi import answer
from app.services import services
from app.submissions import accept_job, wait_for_end
from app.tool_records import RunTool
from app.tools import submit_run
from app.waiting import LONGEST_WAIT_S
from tasks.core.errors import NotFound
from tasks.core.ledger import queries
from tasks.core.records import JobState
from tasks.core.web_url import WebURL
from tasks.discovery import presets as domains
from tasks.discovery.contract import RUN, SITE, TOOL, Arguments, ToolCount
from tasks.discovery.store import tools
from tasks.discovery.store.records import StoredTool
from tasks.discovery.store.tools import Wanted
from tasks.discovery.tool import ToolName

aliases = walt_paths("walt_app")
bp = aliases.blueprint


class WaltAppDiscover(Input):
    """What to discover: a page, the site at a host, or a domain of sites, such as ``financial``."""

    url: WebURL | None = None
    domain: Host | None = Field(None, description="A preset of `/api/discovery/presets`, or else a host.")
    goal: Annotated[Text, Field(max_length=5000)] = ""
    force: bool = False
    max_tools: ToolCount = Field(10, alias="maxTools")

    @model_validator(mode="after")
    def _says_where(self) -> "WaltAppDiscover":
        if (self.url is None) == (self.domain is None):
            raise ValueError("send one of url and domain")
        return self


class WaltContext(Input):
    """Where a call comes from. Only the domain is used: who asks is whose key it is."""

    query: Annotated[Text, Field(max_length=5000)] | None = None
    domain: Host | None = Field(None, description="The site's host, where several have a tool of this name.")
    user_id: Annotated[Text, Field(max_length=200)] | None = None
    session_id: Annotated[Text, Field(max_length=200)] | None = None


class WaltExecute(Input):
    """Which tool, and with what."""

    tool_name: ToolName
    parameters: Arguments = Field(default_factory=dict)
    context: WaltContext = WaltContext()


class WaltAct(Input):
    """Which domains of sites to discover; ``refresh`` looks past the cache."""

    action: Literal["initialize", "refresh"]
    domain: Host | None = None
    domains: Annotated[tuple[Host, ...], Field(max_length=20)] = ()
    high_priority_only: bool = False
    max_concurrent: Annotated[int, Field(ge=1, le=100)] = Field(
        2, description="Taken, and without effect: the workers' slots decide how many run."
    )


class WaltToolsQuery(KeyQuery):
    """Which tools."""

    domain: Host | None = None
    search: Annotated[Text, Field(min_length=1, max_length=500)] | None = None
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 10


class WaltDeleteQuery(KeyQuery):
    """Which tool."""

    tool_name: ToolName
    domain: Host | None = None


class WaltJobs(BaseModel):
    """Discoveries that were begun; each is a job."""

    success: Literal[True] = True
    action: str
    domains: list[str]
    job_ids: list[str]


class WaltStats(BaseModel):
    """How discoveries went."""

    success: Literal[True] = True
    stats: dict[str, dict[str, int]] = Field(description="How many jobs of each kind are in each state.")
    cache: dict[str, KindStats]
    cache_size: int = Field(description="Earlier answers that are kept.")


class WaltExecuted(BaseModel):
    """What a tool answered."""

    success: Literal[True] = True
    result: Any
    error: None = None
    execution_time_ms: float
    cost: float | None = Field(description="In USD; null: not known.")
    cached: Literal[False] = Field(False, description="A tool is run each time.")
    job_id: str


class WaltFound(BaseModel):
    """Tools, newest first, or best fitting first."""

    success: Literal[True] = True
    tools: list[WaltTool]
    total: int


MODELS: tuple[type[BaseModel], ...] = (WaltJobs, WaltStats, WaltExecuted, WaltFound)
REQUESTS: tuple[type[BaseModel], ...] = (WaltAppDiscover, WaltExecute, WaltAct)


@aliases.route(
    "POST",
    "/api/walt/discover",
    successor=f"/api/jobs/{SITE}",
    responses={
        200: {
            "description": "The tools of a site; of a domain of sites, the jobs that look for them.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": f"#/components/schemas/{model.__name__}"} for model in (WaltDiscovery, WaltJobs)
                        ]
                    }
                }
            },
        },
        **ENDED_OTHERWISE,
    },
)
def walt_app_discover(body: WaltAppDiscover) -> Response:
    """Find the tools of a site and wait for that; for a domain of sites, begin with it."""
    names = {one.name for one in domains.presets()}
    if body.domain in names:
        return json_answer(_begun("discover", [body.domain], force=body.force))
    params = {
        "url": body.url or f"https://{body.domain}",
        "goal": body.goal,
        "max_tools": body.max_tools,
        "force": body.force,
    }
    return answer_discovery(accept_job(services(), SITE, {"params": params, "labels": {"dialect": "walt"}}))


@aliases.route(
    "GET",
    "/api/walt/discover",
    successor="/api/discovery/stats",
    responses={200: answer(WaltStats, "Now."), **described(400, 401, 503)},
)
def walt_app_stats(query: KeyQuery) -> Response:  # noqa: ARG001  # it is read for its check
    """Tell how discoveries went, and how their cache stands."""
    at = services()
    cache = {kind: cache_of(at, kind) for kind in (SITE, TOOL)}
    return json_answer(
        WaltStats(
            stats=queries.counts_of_kinds(at.kernel.ledger, tenant_id=tenant_id(), kinds=(SITE, TOOL, RUN)),
            cache=cache,
            cache_size=sum(one.entries for one in cache.values()),
        )
    )


@aliases.route(
    "POST",
    "/api/walt/execute",
    successor="/api/tools",
    responses={200: answer(WaltExecuted, "What it answered."), **described(404), **ENDED_OTHERWISE},
)
def walt_app_execute(body: WaltExecute) -> Response:
    """Run a tool and wait for its answer; one that deletes, or changes an account, is refused here."""
    stored = _tool(body.tool_name, body.context.domain)
    run = RunTool(arguments=body.parameters, confirm=False)
    at = services()
    job = wait_for_end(at, submit_run(stored, run, key=None).job, LONGEST_WAIT_S)
    if job.state is not JobState.SUCCEEDED:
        return unfinished(job)
    result = job.result or {}
    return json_answer(
        WaltExecuted(
            result=result["value"],
            execution_time_ms=round(1000 * result["took_s"], 1),
            cost=result["cost"]["total"],
            job_id=job.id,
        )
    )


@aliases.route(
    "GET",
    "/api/walt/tools",
    successor="/api/tools",
    responses={200: answer(WaltFound, "The tools."), **described(400, 401, 503)},
)
def walt_app_tools(query: WaltToolsQuery) -> Response:
    """List tools, or search them."""
    ledger = services().kernel.ledger
    sites = [None] if query.domain is None else [f"{scheme}://{query.domain}" for scheme in ("https", "http")]
    pages = [
        tools.listing(ledger, Wanted(tenant_id(), site=site, text=query.search), limit=query.limit) for site in sites
    ]
    found = [tool_of(facts) for page in pages for facts in page.tools][: query.limit]
    return json_answer(WaltFound(tools=found, total=sum(page.total for page in pages)))


@aliases.route(
    "POST",
    "/api/walt/tools",
    successor=f"/api/jobs/{SITE}",
    responses={200: answer(WaltJobs, "Begun."), **described(400, 401, 402, 413, 415, 503)},
)
def walt_app_act(body: WaltAct) -> Response:
    """Discover domains of sites: those that are named, or all, or the important ones."""
    named = [*([body.domain] if body.domain else []), *body.domains]
    known = {one.name: one for one in domains.presets()}
    absent = [name for name in named if name not in known]
    if absent:
        message = f"No domain {absent[0]!r}: there are {', '.join(known)}."
        raise FieldsRejected([Refusal(field="domains", message=message, value=absent[0])])
    chosen = [name for name in named or known if known[name].is_high_priority or not body.high_priority_only]
    return json_answer(_begun(body.action, list(dict.fromkeys(chosen)), force=body.action == "refresh"))


@aliases.route(
    "DELETE",
    "/api/walt/tools",
    successor="/api/tools",
    responses={200: answer(WaltDeleted, "Done."), **described(400, 401, 404, 503)},
)
def walt_app_delete(query: WaltDeleteQuery) -> Response:
    """Delete a tool, with its history."""
    stored = _tool(query.tool_name, query.domain)
    tools.delete(services().kernel.ledger, stored)
    return json_answer(WaltDeleted(message=f"Tool {stored.name} of {stored.site} deleted."))


def _begun(action: str, names: list[str], *, force: bool) -> WaltJobs:
    """Submit a discovery for each site of these presets."""
    presets = [one for one in domains.presets() if one.name in names]
    jobs = [
        accept_job(
            services(),
            SITE,
            {
                "params": request.model_dump(mode="json", exclude_defaults=True),
                "priority": preset.job_priority,
                "labels": {"dialect": "walt", "domain": preset.name},
            },
        )
        for preset in presets
        for request in preset.requests(force=force)
    ]
    return WaltJobs(action=action, domains=[one.name for one in presets], job_ids=[job.id for job in jobs])


def _tool(name: str, domain: str | None) -> StoredTool:
    """Return the tool of this name, of the site at ``domain`` where one is given, else wherever it is.

    Raises:
        NotFound: the tenant has none.
        FieldsRejected: several sites have one, and no domain was given.
    """
    if domain is not None:
        return named_tool(domain, name)
    ledger = services().kernel.ledger
    ids = [one for one in tools.names_of(ledger, Wanted(tenant_id())) if one[2] == name]
    if not ids:
        raise NotFound(f"No tool {name!r}.")
    if len(ids) > 1:
        sites = ", ".join(sorted(site for _, site, _ in ids)[:5])
        raise FieldsRejected([Refusal(field="context.domain", message=f"Several sites have one: {sites}. Name one.")])
    return tools.find(ledger, tenant_id(), ids[0][0])
