"""What is known, for one event loop."""

from typing import Literal, Unpack

from client import knowledge
from client.async_tools import Perform
from client.knowledge import Found, KnowledgeStatus, SearchOptions
from client.models import Job


class AsyncKnowledge:
    """``AsyncSwitchyard.knowledge`` is one. Each method does what that of ``Knowledge`` does, and is awaited."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def search(self, site: str, query: str, **options: Unpack[SearchOptions]) -> Found:
        """Search a site by words and by vectors."""
        return await self._perform(knowledge.searched(site, query, options))

    async def status(self, site: str | None = None) -> KnowledgeStatus:
        """Tell how your sites stand, or one of them."""
        return await self._perform(knowledge.stood(site))

    async def reindex(
        self,
        site: str,
        *,
        mode: Literal["delta", "full"] = "delta",
        priority: Literal["low", "normal", "high"] = "normal",
    ) -> Job:
        """Have a site's index made anew; return the job."""
        return await self._perform(knowledge.reindexed(site, mode=mode, priority=priority))
