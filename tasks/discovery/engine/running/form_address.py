"""Forms of one thing among many: the address of their page has an input in it, such as ``/books/{id}/change/``."""

import re
from typing import Any
from urllib.parse import quote

from tasks.discovery.tool import FormCall, Tool

_OPEN = re.compile(r"\{([^{}/]+)\}")


def open_inputs(tool: Tool) -> tuple[str, ...]:
    """Return the inputs that the address of the tool's form takes; empty for other tools."""
    call = tool.call
    if not isinstance(call, FormCall):
        return ()
    properties = tool.input_schema.get("properties", {})
    return tuple(dict.fromkeys(name for name in _OPEN.findall(call.page_url) if name in properties))


def at_address(tool: Tool, arguments: dict[str, Any]) -> tuple[Tool, dict[str, Any]]:
    """Return the tool with its form at the address that ``arguments`` name, and what is left of them."""
    names = open_inputs(tool)
    call = tool.call
    if not names or not isinstance(call, FormCall):
        return tool, arguments

    def filled(url: str) -> str:
        return _OPEN.sub(lambda found: quote(str(arguments[found[1]]), safe="") if found[1] in names else found[0], url)

    here = call.model_copy(update={"page_url": filled(call.page_url), "url": filled(call.url)})
    rest = {name: value for name, value in arguments.items() if name not in names}
    return tool.model_copy(update={"call": here}), rest
