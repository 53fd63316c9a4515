"""A tool as the Model Context Protocol shows it (revision 2025-06-18). Light: loads anywhere."""

from typing import Any

from tasks.discovery.exports.exported import arguments_schema_of
from tasks.discovery.tool import Effect, Tool

META_PREFIX = "switchyard/"


def mcp_tool(tool: Tool) -> dict[str, Any]:
    """Return ``tool`` as an MCP ``Tool`` object; what MCP has no field for is under ``_meta``."""
    shown: dict[str, Any] = {"name": tool.name}
    words = tool.words
    shown |= {"title": words.title} if words.title else {}
    shown |= {"description": words.description} if words.description else {}
    shown["inputSchema"] = arguments_schema_of(tool)
    shown |= {"outputSchema": tool.output_schema} if tool.output_schema else {}
    shown["annotations"] = {
        "readOnlyHint": tool.effect is Effect.READ,
        "destructiveHint": tool.effect is Effect.DESTROY,
        "idempotentHint": tool.is_idempotent or tool.effect is Effect.READ,
        # A site is a world of its own, which others change too.
        "openWorldHint": True,
    }
    meta = {
        "site": tool.site,
        "source": tool.source.value,
        "purpose": tool.purpose,
        "effect": tool.effect.value,
        "foundOn": tool.found_on,
        "evidence": list(tool.evidence),
        "checks": [check.model_dump(mode="json") for check in tool.checks],
        "confidence": tool.confidence,
        "runs": tool.call.kind,
    }
    shown["_meta"] = {f"{META_PREFIX}{name}": value for name, value in meta.items()}
    return shown
