"""The tenant's tools in the forms that others read."""

import json
from typing import Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.inputs import checked
from app.openapi import SECURITY, problems
from app.services import services
from app.tool_records import ToolFilter, exported_of
from app.tools import wanted_of
from tasks.discovery.exports.functions import function_of
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.exports.openapi import openapi_document
from tasks.discovery.exports.python_module import python_module
from tasks.discovery.store import tools
from tasks.discovery.store.records import Status

bp = APIBlueprint("tool_exports", __name__, abp_tags=[Tag(name="tools")], abp_security=SECURITY)
MODELS: tuple[type[BaseModel], ...] = ()

_MOST_EXPORTED = 1000


class ExportQuery(ToolFilter):
    """Which tools, and in which form; active ones, unless a status is given."""

    format: Literal["mcp", "openapi", "functions", "python"] = Field(
        description="`mcp`: `{tools}` of the Model Context Protocol; `openapi`: an OpenAPI 3.1 document; `functions`: "
        "the list that chat models take; `python`: a module of functions."
    )


@bp.get(
    "/api/tools/export",
    responses={
        200: {
            "description": "The tools, by site and name; 1,000 at most.",
            "content": {
                "application/json": {"schema": {}},
                "text/x-python": {"schema": {"type": "string"}},
            },
        },
        **problems(401, 422, 503),
    },
)
@checked
def export_tools(query: ExportQuery) -> Response:
    """Export your tools for agents, generators of clients, chat models or Python."""
    wanted = wanted_of(query if query.status else query.model_copy(update={"status": [Status.ACTIVE]}))
    found = [exported_of(one) for one in tools.all_of(services().kernel.ledger, wanted, limit=_MOST_EXPORTED)]
    if query.format == "python":
        return Response(python_module(found), mimetype="text/x-python")
    if query.format == "mcp":
        return _json({"tools": [exported_mcp_tool(one) for one in found]})
    if query.format == "functions":
        return _json([function_of(one) for one in found])
    return _json(openapi_document(found, server_url=request.root_url.rstrip("/")))


def _json(document: object) -> Response:
    return Response(json.dumps(document), mimetype="application/json")
