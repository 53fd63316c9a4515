"""Addresses without end: calendars, session ids, combinations of filters, paths that grow into themselves.

Only addresses are judged, none is fetched to find out. Each rule is narrow on purpose: a page left out by mistake is
worse than some hundred pages too many, since ``max_pages`` bounds every crawl.
"""

import re
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from tasks.core.web_address import origin_of, target_of

# Pages of one calendar, or combinations of filters of one list, that are followed.
MAX_DATED = 120
MAX_FILTERED = 200
# An address with more parameters of words than this is a combination of filters; ids are numbers.
MAX_WORDED = 2
MAX_SAME_SEGMENT = 3
MAX_SEGMENTS = 40
YEARS_AHEAD = 1

_SESSION_NAMES = frozenset({
    "jsessionid", "phpsessid", "aspsessionid", "sessionid", "session_id", "sessid", "sid", "cfid", "cftoken",
    "zenid", "oscsid", "osadminid",
})  # fmt: skip
_TRACKING = re.compile(r"utm_\w+|gclid|fbclid|msclkid|dclid|yclid|mc_cid|mc_eid|_ga|_gl|srsltid", re.IGNORECASE)
_TOKEN = re.compile(r"(?=[^.]*\d)[0-9A-Za-z_.!-]{16,}\Z")
_PATH_SESSION = re.compile(r";(?:jsessionid|sid|phpsessid)=[^/?;]*", re.IGNORECASE)
_DATE_IN_PATH = re.compile(r"(?<![0-9])(19|20|21)(\d\d)(?:([/-])(0?[1-9]|1[0-2])(?:\3(0?[1-9]|[12]\d|3[01]))?)?/?\Z")
_YEAR = re.compile(r"(19|20|21)\d\d(?:-?(?:0[1-9]|1[0-2])(?:-?[0-3]\d)?)?(?:T[\d:]*)?\Z")
_YEAR_NAMES = frozenset({
    "year", "yr", "y", "date", "day", "month", "cal_year", "ical", "tribe-bar-date", "start", "end", "from",
    "to",
})  # fmt: skip


def without_session(url: str) -> str:
    """Return the canonical URL without what tells visitors apart and not pages: session ids, marks of campaigns."""
    if "?" not in url and ";" not in url:
        return url
    path, mark, query = target_of(url).partition("?")
    kept = [part for part in query.split("&") if not _is_session(part)] if mark else []
    return origin_of(url) + _PATH_SESSION.sub("", path) + ("?" + "&".join(kept) if kept else "")


class Traps:
    """What one crawl has seen of each pattern of addresses that may have no end."""

    def __init__(self, *, this_year: int | None = None) -> None:
        self._last_year = (datetime.now(UTC).year if this_year is None else this_year) + YEARS_AHEAD
        self._seen: Counter[str] = Counter()

    def is_trap(self, url: str) -> bool:
        """Tell whether the URL belongs to a pattern of which enough was seen. Counts it where it does not."""
        path, _, query = url.partition("?")
        segments = [part for part in target_of(path).split("/") if part]
        if len(segments) > MAX_SEGMENTS or max(Counter(segments).values(), default=0) > MAX_SAME_SEGMENT:
            return True
        pairs = [
            (name.lower(), unquote_plus(value)) for name, _, value in (p.partition("=") for p in query.split("&") if p)
        ]
        if (dated := self._dated(path, pairs)) is not None:
            year, pattern = dated
            return year > self._last_year or self._is_over(f"date {pattern}", MAX_DATED)
        worded = sum(not value.isdecimal() for _, value in pairs)
        return worded > MAX_WORDED and self._is_over(f"filters {path}", MAX_FILTERED)

    def _dated(self, path: str, pairs: list[tuple[str, str]]) -> tuple[int, str] | None:
        """Return the year of an address that is one page of a calendar, and what all its pages have in common."""
        for name, value in pairs:
            if name in _YEAR_NAMES and _YEAR.match(value):
                names = "&".join(sorted(name for name, _ in pairs))
                return int(value[:4]), f"{path}?{names}"
        found = _DATE_IN_PATH.search(path)
        return (int(found[1] + found[2]), path[: found.start()]) if found and found[3] else None

    def _is_over(self, pattern: str, limit: int) -> bool:
        self._seen[pattern] += 1
        return self._seen[pattern] > limit


def _is_session(part: str) -> bool:
    name, _, value = part.partition("=")
    return bool(_TRACKING.fullmatch(name)) or (name.lower() in _SESSION_NAMES and bool(_TOKEN.match(value)))
