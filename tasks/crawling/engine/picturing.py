"""How a page looks: a picture of all of it, and a PDF."""

from functools import partial
from typing import TYPE_CHECKING

from tasks.core.job import JobContext
from tasks.crawling.engine.rendering import settled

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tasks.core.browser import Visit

# For loading and both pictures; a long page takes seconds to draw.
PICTURES_LIMIT_S = 120.0
# Chromium draws no higher picture; what is below is cut off.
MAX_HEIGHT_PX = 16_000
_WIDTH_PX = 1280
_IDLE_LIMIT_MS = 10_000


def take_pictures(
    url: str, job: JobContext, *, user_agent: str, screenshot: bool, pdf: bool
) -> tuple[bytes | None, bytes | None]:
    """Return the page as PNG and as PDF (A4), those that are asked for, as the browser shows it once it is idle.

    Raises:
        EngineUnavailable: this machine has no browser. Permanent.
        EgressRefused: the page leads to where requests must not go. Permanent.
        TooLarge: the page loads more than a visit may. Permanent.
        Transient: it does not load, or not in time.
    """
    from tasks.core.browser import VisitOptions  # noqa: PLC0415  # Playwright is for jobs that need it

    return job.browser.visit(
        partial(_draw, url=url, screenshot=screenshot, pdf=pdf),
        timeout_s=PICTURES_LIMIT_S,
        options=VisitOptions(user_agent=user_agent, viewport=(_WIDTH_PX, 800)),
    )


async def _draw(visit: "Visit", *, url: str, screenshot: bool, pdf: bool) -> tuple[bytes | None, bytes | None]:
    page: Page = await visit.context.new_page()
    await visit.open(page, url, until="load")
    await settled(page, within_ms=_IDLE_LIMIT_MS)
    # Cut to what there is of the page by Playwright, which measures it where no script of the page answers for it.
    clip = {"x": 0, "y": 0, "width": _WIDTH_PX, "height": MAX_HEIGHT_PX}
    picture = await page.screenshot(full_page=True, clip=clip) if screenshot else None  # type: ignore[arg-type]  # it wants its own TypedDict
    return picture, await page.pdf(format="A4", print_background=True) if pdf else None
