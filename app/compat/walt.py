"""The older tool discovery service's bridge: a site in, its tools out, in one request. See docs/older-clients.md."""

from typing import Annotated, Any, Literal

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.walt_words import WaltError, WaltInput, WaltTool, described, domain_of, tool_of, walt_paths
from app.inputs import Input, Text
from app.openapi import answer
from app.services import Services, services
from app.submissions import accept_job, wait_for_end
from app.waiting import LONGEST_WAIT_S
from tasks.core.errors import NotFound
from tasks.core.records import Job, JobState, ran_in
from tasks.core.web_url import WebURL
from tasks.discovery.contract import SITE, TOOL, ToolCount
from tasks.discovery.store import tools
from tasks.discovery.store.records import StoredTool, ToolFacts
from tasks.discovery.store.tools import Wanted
from tasks.discovery.tool import ToolName

aliases = walt_paths("walt")
bp = aliases.blueprint

_PAGE = 200
# A list of more is no list to read in one answer: /api/tools has pages.
_MOST_LISTED = 1000
Host = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9\[][A-Za-z0-9.:\]-]*$")]


class _Looking(Input):
    url: WebURL = Field(description="Where to begin; http or https.")
    headless: bool = Field(True, description="Taken, and without effect: browsers have no window here.")


class WaltDiscover(_Looking):
    """What to discover."""

    goal: Annotated[Text, Field(max_length=5000)] = Field("", description="What the tools are wanted for.")
    max_tools: ToolCount = 10


class WaltGenerate(_Looking):
    """The one tool that is wanted."""

    goal: Annotated[Text, Field(min_length=1, max_length=5000, pattern=r"\S")] = Field(description="What it is for.")


class KeyQuery(Input):
    """What every call may bring."""

    api_key: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The API key, where no header can be sent: it may end in others' logs."
    )


class WaltToolPath(Input):
    """Which tool."""

    domain: Host = Field(description="The site's host, with its port if it has one of its own.")
    name: ToolName


class WaltDiscovery(BaseModel):
    """What was found."""

    success: Literal[True] = True
    url: str
    domain: str
    tools_discovered: int
    tools: list[WaltTool]
    output_dir: str = Field(description="Where the job's files are: a path of this server.")
    job_id: str
    backend: str | None = Field(description="Which backend ran it: `queue` or `local`.")


class WaltGenerated(BaseModel):
    """The tool for a goal."""

    success: Literal[True] = True
    url: str
    domain: str
    goal: str
    tool: WaltTool
    output_dir: str
    job_id: str
    backend: str | None


class WaltToolList(BaseModel):
    """The tenant's tools, newest first."""

    success: Literal[True] = True
    count: int
    total: int = Field(description="How many there are in all; the first 1,000 are listed.")
    tools: list[WaltTool]


class WaltToolAnswer(BaseModel):
    """A tool."""

    success: Literal[True] = True
    tool: WaltTool


class WaltDeleted(BaseModel):
    """It is gone."""

    success: Literal[True] = True
    message: str


MODELS: tuple[type[BaseModel], ...] = (
    *(WaltError, WaltInput, WaltTool, WaltDiscovery, WaltGenerated, WaltToolList, WaltToolAnswer, WaltDeleted),
)
REQUESTS: tuple[type[BaseModel], ...] = (WaltDiscover, WaltGenerate)
ENDED_OTHERWISE: ResponseDict = {
    202: answer(WaltError, "It takes longer than a request may, and goes on as a job."),
    **described(400, 401, 402, 413, 415, 500, 503),
}


@aliases.route(
    "POST",
    "/discover",
    successor=f"/api/jobs/{SITE}",
    responses={200: answer(WaltDiscovery, "The tools."), **ENDED_OTHERWISE},
)
def walt_discover(body: WaltDiscover) -> Response:
    """Find the tools of a site, and wait for that: 202 where it takes longer than a request may."""
    params = {"url": body.url, "goal": body.goal, "max_tools": body.max_tools}
    return answer_discovery(accept_job(services(), SITE, {"params": params, "labels": {"dialect": "walt"}}))


def answer_discovery(job: Job) -> Response:
    """Wait for a discovery that was accepted, and answer with what it found."""
    at = services()
    job = wait_for_end(at, job, LONGEST_WAIT_S)
    if job.state is not JobState.SUCCEEDED:
        return unfinished(job)
    result = _result(job)
    found = _found(at, result)
    return json_answer(
        WaltDiscovery(
            url=result["url"],
            domain=domain_of(result["site"]),
            tools_discovered=len(found),
            tools=found,
            output_dir=_files(job),
            job_id=job.id,
            backend=backend_of(job),
        )
    )


@aliases.route(
    "POST",
    "/generate",
    successor=f"/api/jobs/{TOOL}",
    responses={200: answer(WaltGenerated, "The tool."), **described(404), **ENDED_OTHERWISE},
)
def walt_generate(body: WaltGenerate) -> Response:
    """Find the one tool of a site that serves a goal: 404 where none does."""
    at, params = services(), {"url": body.url, "goal": body.goal}
    job = accept_job(at, TOOL, {"params": params, "labels": {"dialect": "walt"}})
    job = wait_for_end(at, job, LONGEST_WAIT_S)
    if job.state is not JobState.SUCCEEDED:
        return unfinished(job)
    result = _result(job)
    found = _found(at, result)
    if not found:
        raise NotFound(f"No tool of {result['site']} serves this goal.")
    return json_answer(
        WaltGenerated(
            url=result["url"],
            domain=domain_of(result["site"]),
            goal=result["goal"],
            tool=found[0],
            output_dir=_files(job),
            job_id=job.id,
            backend=backend_of(job),
        )
    )


@aliases.route(
    "GET",
    "/tools",
    successor="/api/tools",
    responses={200: answer(WaltToolList, "The tools."), **described(400, 401, 503)},
)
def walt_list_tools(query: KeyQuery) -> Response:  # noqa: ARG001  # it is read for its check
    """List the tools."""
    ledger, wanted = services().kernel.ledger, Wanted(tenant_id())
    page = tools.listing(ledger, wanted, limit=_PAGE)
    listed, total = list(page.tools), page.total
    while page.next_cursor is not None and len(listed) < _MOST_LISTED:
        page = tools.listing(ledger, wanted, limit=_PAGE, cursor=page.next_cursor)
        listed += page.tools
    shown = [tool_of(facts) for facts in listed]
    return json_answer(WaltToolList(count=len(shown), total=total, tools=shown))


@aliases.route(
    "GET",
    "/tools/<string:domain>/<string:name>",
    successor="/api/tools",
    responses={200: answer(WaltToolAnswer, "The tool."), **described(400, 401, 404, 503)},
)
def walt_read_tool(path: WaltToolPath, query: KeyQuery) -> Response:  # noqa: ARG001  # it is read for its check
    """Show a tool."""
    stored = named_tool(path.domain, path.name)
    return json_answer(WaltToolAnswer(tool=tool_of(tools.facts_of(services().kernel.ledger, stored))))


@aliases.route(
    "DELETE",
    "/tools/<string:domain>/<string:name>",
    successor="/api/tools",
    responses={200: answer(WaltDeleted, "Done."), **described(400, 401, 404, 503)},
)
def walt_delete_tool(path: WaltToolPath, query: KeyQuery) -> Response:  # noqa: ARG001  # it is read for its check
    """Delete a tool, with its history."""
    stored = named_tool(path.domain, path.name)
    tools.delete(services().kernel.ledger, stored)
    return json_answer(WaltDeleted(message=f"Tool {stored.name} of {path.domain} deleted."))


def named_tool(domain: str, name: str) -> StoredTool:
    """Return the tool of this name of the site at this host, over https before http.

    Raises:
        NotFound: the tenant has none.
    """
    ledger = services().kernel.ledger
    for scheme in ("https", "http"):
        try:
            return tools.find_named(ledger, tenant_id(), f"{scheme}://{domain}", name)
        except NotFound:
            continue
    raise NotFound(f"No tool {name[:100]!r} of {domain[:100]!r}.")


def unfinished(job: Job) -> Response:
    """Answer for a job that failed, was cancelled, or takes longer than a request may."""
    if not job.state.is_terminal:
        told = f"Not done within {LONGEST_WAIT_S:g} s, and goes on: see /api/jobs/{job.id}."
        return json_answer(WaltError(error=told, code="accepted", job_id=job.id), status=202)
    error = job.error or {"code": job.cause, "message": f"The job was {job.state}."}
    return json_answer(WaltError(error=error["message"], code=error["code"], job_id=job.id), status=500)


def backend_of(job: Job) -> str | None:
    """Return which backend ran a job."""
    return None if job.worker is None else ran_in(job.worker)


def _result(job: Job) -> dict[str, Any]:
    assert job.result is not None  # noqa: S101  # it has succeeded
    return job.result


def _found(at: Services, result: dict[str, Any]) -> list[WaltTool]:
    """Return the tools of a discovery's result as the registry has them, best first; some may be deleted already."""
    stored: list[ToolFacts] = []
    for one in result["tools"]:
        try:
            found = tools.find_named(at.kernel.ledger, tenant_id(), result["site"], one["name"])
        except NotFound:
            continue
        stored.append(tools.facts_of(at.kernel.ledger, found))
    return [tool_of(facts) for facts in stored]


def _files(job: Job) -> str:
    return f"/api/jobs/{job.id}/artifacts"
