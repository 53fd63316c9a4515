"""What fetches and reads the pages of one job, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from tasks.core.job import JobContext
from tasks.crawling.contract import CrawlRequest
from tasks.crawling.engine.extraction import Extraction
from tasks.crawling.engine.fetch import Fetcher, FetchLimits
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.recall import Recall
from tasks.crawling.engine.rendering import Rendering
from tasks.crawling.engine.robots import RobotsBook
from tasks.crawling.engine.visitor import Visitor

USER_AGENT = "SwitchyardCrawler/0.1"
# How long a cancel may go unnoticed while every request is slow.
TICK_S = 0.2

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Tools:
    """Share one connection pool and one politeness."""

    fetcher: Fetcher
    robots: RobotsBook
    visitor: Visitor


@asynccontextmanager
async def visiting(
    request: CrawlRequest,
    job: JobContext,
    *,
    politeness: Politeness,
    limits: FetchLimits,
    processes: int,
    recall: Recall | None = None,
) -> AsyncIterator[Tools]:
    """Give the tools; ``processes`` is how many read pages, never more than there are pages to keep."""
    user_agent = request.user_agent or USER_AGENT
    async with (
        job.http.downloads(max_connections=request.concurrency) as web,
        Extraction(processes=min(processes, request.max_pages)) as extraction,
    ):
        fetcher = Fetcher(web, politeness, user_agent=user_agent, limits=limits)
        robots = RobotsBook(fetcher, politeness, user_agent=user_agent, is_obeyed=request.respect_robots)
        rendering = Rendering(job, politeness, mode=request.render, user_agent=user_agent)
        visitor = Visitor(
            request,
            fetcher=fetcher,
            robots=robots,
            extraction=extraction,
            user_agent=user_agent,
            rendering=rendering,
            recall=recall,
        )
        yield Tools(fetcher, robots, visitor)


async def attended(work: Coroutine[object, object, ResultT], job: JobContext) -> ResultT:
    """Return what ``work`` returns; the job is asked every 0.2 s whether to go on, and ends it where not."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=TICK_S))[0]:
            job.checkpoint()
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(work: Coroutine[object, object, ResultT]) -> ResultT:
    """Return what the coroutine returns, from an event loop of its own."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_ImpatientExecutor())
        return runner.run(work)


class _ImpatientExecutor(ThreadPoolExecutor):
    """Lets the event loop close while a name lookup still hangs, which cannot be interrupted and may take 30 s."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - overrides
        super().shutdown(wait=False, cancel_futures=True)
