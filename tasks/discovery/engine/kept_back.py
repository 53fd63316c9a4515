"""Links that a site sends with its page, and that scripts take out of it until something opens them.

Menus of actions are often made so: their content is in the document, is moved aside as the page starts, and comes back
where the menu is opened. What a browser shows of such a page has no link to what may be done.
"""

import asyncio

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Response

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Link, Page

# Of a larger document most is data, and the links of its head come with the page itself.
_MAX_CHARS = 2_000_000
_ANSWER_LIMIT_S = 2.0


async def links_kept_back(response: Response, shown: Page) -> tuple[Link, ...]:
    """Return the links of the document as it was sent that ``shown`` has not, each address once; none in doubt."""
    try:
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            text = await response.text()
    except (PlaywrightError, TimeoutError, UnicodeDecodeError):  # it has gone, or is no text
        return ()
    if len(text) > _MAX_CHARS:
        return ()
    # The loop also carries the browser's traffic.
    return await asyncio.to_thread(_kept_back, text, shown)


def _kept_back(text: str, shown: Page) -> tuple[Link, ...]:
    known = {link.href for link in shown.links}
    found: dict[str, Link] = {}
    for link in read_page(text, url=shown.url).links:
        if link.href not in known:
            found.setdefault(link.href, link)
    return tuple(found.values())
