"""The sources of tools, one module each, cheapest and surest first."""

from collections.abc import Callable

from tasks.discovery.engine.site import Site
from tasks.discovery.tool import Tool

SOURCES: tuple[Callable[[Site], list[Tool]], ...] = ()
