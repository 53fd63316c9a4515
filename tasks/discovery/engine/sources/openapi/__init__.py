"""Tools from OpenAPI 3 and Swagger 2 descriptions. Start reading at ``location``, then ``tools``."""

from tasks.discovery.engine.names import Names
from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources.openapi.location import find_specifications
from tasks.discovery.engine.sources.openapi.operations import MAX_OPERATIONS
from tasks.discovery.engine.sources.openapi.tools import specification_tools
from tasks.discovery.tool import Tool


def find_tools(site: Site) -> list[Tool]:
    """Return one tool per operation that the site's API descriptions declare."""
    names = Names()
    tools = [
        tool for spec in find_specifications(site) for tool in specification_tools(spec, site=site.origin, names=names)
    ]
    return tools[:MAX_OPERATIONS]
