"""Pictures of a crawl's first pages, taken once it has ended."""

import json
import time
from itertools import islice
from pathlib import Path

from tasks.core.errors import EgressRefused, EngineUnavailable, TooLarge, Transient
from tasks.core.job import JobContext
from tasks.crawling.contract import PAGES_MEDIA_TYPE, SCREENSHOTS_NAME, CrawlResult, SiteRequest
from tasks.crawling.engine.picturing import take_pictures
from tasks.crawling.engine.visiting import TICK_S, USER_AGENT


def keep_screenshots(pages: Path, request: SiteRequest, result: CrawlResult, job: JobContext) -> int:
    """Keep pictures of the first pages of ``pages``, and ``screenshots.jsonl``; return how many there are.

    A page that the browser cannot show is named in the log, and the next one is shown. No two begin closer together
    than the crawl's requests did, and none begins once ``max_duration_s`` is used up.
    """
    until = time.monotonic() + request.max_duration_s - result.duration_s
    with pages.open("rb") as lines:
        urls = [str(json.loads(line)["url"]) for line in islice(lines, request.screenshots)]
    shown: list[dict[str, str]] = []
    next_start = time.monotonic() + result.delay_s
    for at, url in enumerate(urls):
        if next_start >= until:
            job.log(f"max_duration_s is used up: {len(urls) - at} pages have no picture", level="warning")
            break
        _wait_until(next_start, job)
        next_start = time.monotonic() + result.delay_s
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
    if shown:
        index = job.workdir / SCREENSHOTS_NAME
        index.write_text("".join(f"{json.dumps(one)}\n" for one in shown), encoding="utf-8")
        job.save(SCREENSHOTS_NAME, index, PAGES_MEDIA_TYPE)
    return len(shown)


def _wait_until(moment: float, job: JobContext) -> None:
    while (left := moment - time.monotonic()) > 0:
        job.checkpoint()
        time.sleep(min(left, TICK_S))
