"""What a site's robots.txt says: RFC 9309 (2022), with Crawl-delay, which the RFC leaves out and many sites use."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from protego import Protego

# RFC 9309 2.5: at least 500 KiB must be read; the rest is ignored.
MAX_ROBOTS_BYTES = 500 * 1024
# RFC 9309 2.3.1.2: at least five consecutive redirects should be followed.
MAX_ROBOTS_REDIRECTS = 5
MAX_DELAY_S = 86_400.0
MAX_SITEMAP_LINES = 100

# RFC 9309 2.2.4: other records are no part of a group and do not end one.
_KNOWN_LINE = re.compile(r"^\s*(?:user-?agent|(?:dis)?allow|crawl-?delay|sitemap)\s*[:\s]", re.IGNORECASE)
_AGENT_LINE = re.compile(r"^(\s*user-?agent\s*:\s*[^\s/#]+)[^#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RobotsText:
    """What a robots.txt says to one user agent; an absent one allows everything."""

    allows: Callable[[str], bool] = field(default=lambda _url: True)
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()


def parse_robots(text: str, *, user_agent: str) -> RobotsText:
    """Return the rules for ``user_agent``: the longest match wins, allow wins a tie, no match allows.

    A group named by more than a product token ("Foo Bar", "Foo/1.0") counts for that token, as RFC 9309 2.2.1 has it.
    """
    known = filter(_KNOWN_LINE.match, text.removeprefix("\ufeff").splitlines())
    lines = (_AGENT_LINE.sub(r"\1", line) for line in known)
    parsed = Protego.parse("\n".join(lines))
    stated_s = parsed.crawl_delay(user_agent)
    return RobotsText(
        allows=lambda url: parsed.can_fetch(url, user_agent),
        delay_s=min(stated_s, MAX_DELAY_S) if stated_s and math.isfinite(stated_s) and stated_s > 0 else 0.0,
        sitemaps=tuple(parsed.sitemaps)[:MAX_SITEMAP_LINES],
    )
