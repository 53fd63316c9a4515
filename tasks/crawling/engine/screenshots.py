"""Pictures of a crawl's first pages, taken once it has ended."""

import asyncio
import json
import time
from itertools import islice
from pathlib import Path

from tasks.core.errors import EgressRefused, EngineUnavailable, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.core.web_address import host_of
from tasks.crawling.contract import PAGES_MEDIA_TYPE, SCREENSHOTS_NAME, CrawlResult, SiteRequest
from tasks.crawling.engine.picturing import take_pictures
from tasks.crawling.engine.politeness import HostGate, Politeness
from tasks.crawling.engine.visiting import USER_AGENT, attended, run


def keep_screenshots(
    pages: Path, request: SiteRequest, result: CrawlResult, job: JobContext, *, politeness: Politeness
) -> int:
    """Keep pictures of the first pages of ``pages``, and ``screenshots.jsonl``; return how many there are.

    A page that the browser cannot show is named in the log, and the next one is shown. Each waits its turn at its host
    as the crawl's requests did, and none begins once ``max_duration_s`` is used up.
    """
    until = time.monotonic() + request.max_duration_s - result.duration_s
    with pages.open("rb") as lines:
        urls = [str(json.loads(line)["url"]) for line in islice(lines, request.screenshots)]
    shown: list[dict[str, str]] = []
    too_late = 0
    for at, url in enumerate(urls):
        if not _has_turn(politeness.gate(host_of(url)), job, until=until):
            too_late += 1
            continue
        job.report("showing", at, len(urls), message=url)
        try:
            picture, _ = take_pictures(
                url, job, user_agent=request.user_agent or USER_AGENT, screenshot=True, pdf=False
            )
        except EngineUnavailable as exc:
            job.log(f"no page has a picture: {exc.message}", level="warning")
            break
        except (EgressRefused, TooLarge, Transient) as exc:
            job.log(f"{url}: no picture: {exc.message}", level="warning")
            continue
        assert picture is not None  # noqa: S101  # it was asked for
        name = f"screenshot-{len(shown) + 1}.png"
        job.save(name, picture, "image/png")
        shown.append({"url": url, "artifact": name})
    if too_late:
        job.log(
            f"max_duration_s ({request.max_duration_s}) is used up: {too_late} of {len(urls)} pages have no picture; "
            "raise it",
            level="warning",
        )
    if shown:
        index = job.workdir / SCREENSHOTS_NAME
        index.write_text("".join(f"{json.dumps(one)}\n" for one in shown), encoding="utf-8")
        job.save(SCREENSHOTS_NAME, index, PAGES_MEDIA_TYPE)
    return len(shown)


def _has_turn(gate: HostGate, job: JobContext, *, until: float) -> bool:
    """Wait for a turn at the host; False where it does not come in time."""

    async def take() -> None:
        # An event loop's clock is the monotonic one.
        async with asyncio.timeout_at(until), gate.turn():
            pass

    if max(gate.next_start, time.monotonic()) >= until:
        return False
    try:
        run(attended(take(), job))
    except TimeoutError:
        return False
    return True
