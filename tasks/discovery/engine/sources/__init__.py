"""Where tools come from: one module per kind of source, cheapest and surest first."""

from collections.abc import Callable

from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources import openapi, opensearch, schema_org, webmcp
from tasks.discovery.tool import Tool

# In the order of ``tool.Source``.
SOURCES: tuple[Callable[[Site], list[Tool]], ...] = (
    webmcp.find_tools,
    openapi.find_tools,
    opensearch.find_tools,
    schema_org.find_tools,
)
