"""Where tools come from: one module per source, each with ``find_tools(site)``, cheapest and surest first."""

from collections.abc import Callable

from tasks.discovery.engine.site import Site
from tasks.discovery.engine.sources import form, links
from tasks.discovery.tool import Tool

SOURCES: tuple[Callable[[Site], list[Tool]], ...] = (form.find_tools, links.find_tools)
