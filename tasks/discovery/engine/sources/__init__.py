"""Where tools come from: one module for each source, cheapest and surest first.

Each has ``find_tools(site)``, which is pure but for ``site.fetch`` and ``site.post_json``.
"""

from collections.abc import Callable

from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources import (
    collections,
    form,
    graphql,
    items,
    links,
    lists,
    openapi,
    opensearch,
    schema_org,
    webmcp,
    xhr,
)
from tasks.discovery.tool import Tool

# In the order of ``tool.Source``.
SOURCES: tuple[Callable[[Site], list[Tool]], ...] = (
    webmcp.find_tools,
    openapi.find_tools,
    opensearch.find_tools,
    schema_org.find_tools,
    form.find_tools,
    links.find_tools,
    items.find_tools,
    lists.find_tools,
    collections.find_tools,
    xhr.find_tools,
    graphql.find_tools,
)
