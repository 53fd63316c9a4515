"""The registry of tools that discoveries found: listed, searched, shown, run, deleted."""

from urllib.parse import urlsplit

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from app.answers import json_answer
from app.auth import tenant_id
from app.errors import FieldsRejected, Refusal
from app.inputs import checked
from app.openapi import SECURITY, answer, bare_answer, problems
from app.services import services
from app.submissions import ACCEPTED_ANSWERS, SubmitHeaders, accept, answer_accepted
from app.tool_records import (
    DeleteSiteQuery,
    Recommendations,
    RecommendedQuery,
    RecommendedTool,
    RunListQuery,
    RunTool,
    ToolFilter,
    ToolListQuery,
    ToolPage,
    ToolPath,
    ToolRecord,
    ToolRun,
    ToolRunList,
    ToolsDeleted,
    ToolVersionList,
    ToolVersionRecord,
    exported_of,
    fields_of,
)
from tasks.core.errors import InputRejected
from tasks.core.ledger.accepting import Accepted
from tasks.discovery.arguments import faults_of
from tasks.discovery.contract import RUN
from tasks.discovery.exports.exported import Exported
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.store import recommending, run_log, tools
from tasks.discovery.store.records import StoredTool
from tasks.discovery.store.tools import Wanted

log = structlog.get_logger()

bp = APIBlueprint("tools", __name__, abp_tags=[Tag(name="tools")], abp_security=SECURITY)

MODELS: tuple[type[BaseModel], ...] = (
    *(ToolRecord, ToolPage, Recommendations, RunTool, ToolVersionList, ToolRunList, ToolsDeleted),
)


@bp.get("/api/tools", responses={200: answer(ToolPage, "A page."), **problems(401, 422, 503)})
@checked
def list_tools(query: ToolListQuery) -> Response:
    """List your tools, newest first; with `q` those that its words find, best fitting first."""
    ledger = services().kernel.ledger
    page = tools.listing(ledger, wanted_of(query, text=query.q), limit=query.limit, cursor=query.cursor)
    found = [ToolRecord(**fields_of(facts)) for facts in page.tools]
    return json_answer(ToolPage(tools=found, total=page.total, next_cursor=page.next_cursor))


@bp.get("/api/tools/recommended", responses={200: answer(Recommendations, "The best."), **problems(401, 422, 503)})
@checked
def recommend_tools(query: RecommendedQuery) -> Response:
    """Recommend active tools by confidence, success and use."""
    found = recommending.recommended(services().kernel.ledger, wanted_of(query, text=query.query), limit=query.limit)
    scored = [RecommendedTool(**fields_of(one.facts), score=one.score) for one in found]
    return json_answer(Recommendations(tools=scored))


@bp.get("/api/tools/<tool:tool_id>", responses={200: answer(ToolRecord, "The tool."), **problems(401, 404, 503)})
@checked
def read_tool(path: ToolPath) -> Response:
    """Show a tool, with what its runs have shown."""
    stored = find_tool(path)
    return json_answer(ToolRecord(**fields_of(tools.facts_of(services().kernel.ledger, stored))))


@bp.get(
    "/api/tools/<tool:tool_id>/versions",
    responses={200: answer(ToolVersionList, "Every version."), **problems(401, 404, 503)},
)
@checked
def list_tool_versions(path: ToolPath) -> Response:
    """List how a tool was found before."""
    stored = find_tool(path)
    versions = [
        ToolVersionRecord(
            version=one.version,
            created_at=one.created_at,
            job_id=one.job_id,
            tool=exported_mcp_tool(Exported(stored.id, one.version, stored.status, one.tool)),
        )
        for one in tools.versions_of(services().kernel.ledger, stored.id)
    ]
    return json_answer(ToolVersionList(versions=versions))


@bp.get(
    "/api/tools/<tool:tool_id>/runs", responses={200: answer(ToolRunList, "A page."), **problems(401, 404, 422, 503)}
)
@checked
def list_tool_runs(path: ToolPath, query: RunListQuery) -> Response:
    """List the runs of a tool that are still logged, newest first."""
    found = run_log.runs_of(services().kernel.ledger, find_tool(path).id, limit=query.limit, before=query.before)
    return json_answer(
        ToolRunList(runs=[ToolRun(**{name: getattr(run, name) for name in ToolRun.model_fields}) for run in found])
    )


@bp.post("/api/tools/<tool:tool_id>/run", responses={**ACCEPTED_ANSWERS})
@checked
def run_tool(path: ToolPath, header: SubmitHeaders, body: RunTool) -> Response:
    """Run a tool: its arguments are checked, then a `discovery.run` job is submitted."""
    accepted = submit_run(find_tool(path), body, key=header.idempotency_key)
    return answer_accepted(services(), accepted, header)


@bp.delete(
    "/api/tools/<tool:tool_id>",
    responses={204: bare_answer("It is gone, with its history."), **problems(401, 404, 503)},
)
@checked
def delete_tool(path: ToolPath) -> Response:
    """Delete a tool with its versions, runs and notes."""
    stored = find_tool(path)
    tools.delete(services().kernel.ledger, stored)
    log.info("tool_deleted", tool_id=stored.id, site=stored.site, name=stored.name)
    return Response(status=204)


@bp.delete("/api/tools", responses={200: answer(ToolsDeleted, "Done."), **problems(401, 422, 503)})
@checked
def delete_tools(query: DeleteSiteQuery) -> Response:
    """Delete every tool of a site, and the sign-in state that is kept for it."""
    if not query.confirm:
        raise InputRejected(
            f"This deletes every tool of {query.site}: add confirm=true.", field="confirm", code="confirmation_required"
        )
    deleted = tools.delete_site(services().kernel.ledger, tenant_id(), query.site)
    log.info("tools_deleted", site=query.site, count=deleted)
    return json_answer(ToolsDeleted(deleted=deleted))


def find_tool(path: ToolPath) -> StoredTool:
    """Return this tenant's tool.

    Raises:
        NotFound: this tenant has no such tool.
    """
    return tools.find(services().kernel.ledger, tenant_id(), path.tool_id)


def wanted_of(query: ToolFilter, *, text: str | None = None) -> Wanted:
    """Return what this tenant asks for."""
    return Wanted(
        tenant_id=tenant_id(),
        site=query.site,
        statuses=query.status,
        source=query.source,
        effect=query.effect,
        min_confidence=query.min_confidence,
        text=text,
    )


def submit_run(stored: StoredTool, body: RunTool, *, key: str | None) -> Accepted:
    """Accept a run of a tool for the tenant that asks.

    Raises:
        FieldsRejected: an argument does not fit, or what it does to the site was not confirmed. Nothing was accepted.
    """
    refusals = [
        Refusal(field=f"arguments.{fault.path}".rstrip("."), message=fault.message)
        for fault in faults_of(stored.tool.input_schema, body.arguments)
    ]
    if exported_of(stored).is_destructive and not body.confirm:
        message = "Required to be true: this deletes something, or changes an account."
        refusals.append(Refusal(field="confirm", message=message))
    if refusals:
        raise FieldsRejected(refusals)
    params = {
        "tool_id": stored.id,
        "arguments": body.arguments,
        "allow_effects": [stored.tool.effect],
        "prefer": body.prefer,
        "use_session": body.use_session,
    }
    options = {
        "priority": body.priority,
        "timeout_s": body.timeout_s,
        "reference": body.reference,
        "backend": body.backend,
    }
    sent = {name: value for name, value in options.items() if value is not None}
    return accept(services(), RUN, {"params": params, "site": urlsplit(stored.site).netloc[:253], **sent}, key=key)
