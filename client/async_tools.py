"""Tools that were found on websites, for one event loop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar, Unpack

from client import tools
from client.calls import Call
from client.models import Job
from client.tools import RunOptions, Tool, ToolFilters, ToolPage

T = TypeVar("T")


class Perform(Protocol):
    """Performs a call; what it reads is awaited."""

    def __call__(self, call: Call[T]) -> Awaitable[T]:
        """Perform it."""
        ...


class AsyncTools:
    """Your tools; ``AsyncSwitchyard.tools`` is one. Each method does what that of ``Tools`` does, and is awaited."""

    def __init__(self, perform: Perform, wait: Callable[..., Awaitable[Job]], *, backend: str = "auto") -> None:
        self._perform = perform
        self._wait = wait
        self._backend = backend

    async def page(
        self, text: str | None = None, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[ToolFilters]
    ) -> ToolPage:
        """Read one page: newest first, or with a text those that its words find, best fitting first."""
        return await self._perform(tools.listed(text, limit=limit, cursor=cursor, filters=filters))

    async def recommended(
        self, query: str | None = None, *, limit: int = 5, **filters: Unpack[ToolFilters]
    ) -> list[Tool]:
        """List the active tools that are best by confidence, success and use."""
        return await self._perform(tools.best(query, limit=limit, filters=filters))

    async def show(self, tool_id: str) -> Tool:
        """Read one tool."""
        return await self._perform(tools.shown(tool_id))

    async def submit(
        self,
        tool_id: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        confirm: bool = False,
        prefer: str = "auto",
        use_session: bool = False,
    ) -> Job:
        """Submit a run; return its job."""
        how: RunOptions = {"confirm": confirm, "prefer": prefer, "use_session": use_session, "backend": self._backend}
        return await self._perform(tools.submitted(tool_id, arguments or {}, how))

    async def run(
        self,
        tool_id: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        confirm: bool = False,
        prefer: str = "auto",
        use_session: bool = False,
        timeout_s: float | None = None,
    ) -> Any:
        """Run a tool; return what it answered."""
        job = await self.submit(tool_id, arguments, confirm=confirm, prefer=prefer, use_session=use_session)
        return tools.value_of(await self._wait(job.id, timeout_s))

    async def export(
        self, format: Literal["mcp", "openapi", "functions", "python"], **filters: Unpack[ToolFilters]
    ) -> str:
        """Export active tools, or those of another status, as text."""
        return await self._perform(tools.exported(format, filters))

    async def delete(self, tool_id: str) -> None:
        """Delete a tool with its versions, runs and notes."""
        await self._perform(tools.deleted(tool_id))

    async def delete_site(self, site: str, *, confirm: bool = False) -> int:
        """Delete every tool of a site and the sign-in state kept for it; return how many tools."""
        return await self._perform(tools.deleted_site(site, confirm=confirm))
