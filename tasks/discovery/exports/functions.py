"""Tools as function-calling JSON: the list that chat models take as ``tools``."""

from typing import Any

from tasks.discovery.exports.exported import Exported, input_schema_of


def function_of(exported: Exported) -> dict[str, Any]:
    """Return one entry: ``{"type": "function", "function": {name, description, parameters}}``."""
    tool = exported.tool
    parameters = {key: value for key, value in input_schema_of(exported).items() if key != "$schema"}
    description = tool.words.description or tool.words.title or tool.name
    return {
        "type": "function",
        "function": {
            "name": exported.name,
            "description": f"{description} ({tool.site})",
            "parameters": parameters,
        },
    }
