"""Tools as the Model Context Protocol has them (revision 2025-06-18)."""

from typing import Any

from tasks.discovery.exports.exported import Exported, input_schema_of, output_schema_of
from tasks.discovery.mcp_tool import META_PREFIX, mcp_tool
from tasks.discovery.tool import Call, StepsCall


def exported_mcp_tool(exported: Exported) -> dict[str, Any]:
    """Return an MCP ``Tool`` under its unique name; ``_meta`` says where it is from and how sure it is.

    What is sent beside a caller's inputs (cookies, tokens, headers, hidden fields) is no part of it.
    """
    shown = mcp_tool(exported.tool)
    shown |= {"name": exported.name, "inputSchema": input_schema_of(exported)}
    output_schema = output_schema_of(exported.tool)
    if output_schema is not None:
        shown["outputSchema"] = output_schema
    more = {
        "id": exported.id,
        "name": exported.tool.name,
        "version": exported.version,
        "status": exported.status,
        "steps": _steps(exported.tool.call),
    }
    shown["_meta"] = shown["_meta"] | {f"{META_PREFIX}{name}": value for name, value in more.items()}
    return shown


def _steps(call: Call) -> list[dict[str, Any]]:
    """Say what a run does. What a step types is left out: it may be a secret."""
    if isinstance(call, StepsCall):
        return [{"act": step.act, "selectors": list(step.selectors)} for step in call.steps]
    if call.kind == "page_tool":
        return [{"act": "call", "tool": call.tool_name}]
    return [{"act": "request", "method": call.method, "url": call.url}]
