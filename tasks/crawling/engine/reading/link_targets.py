"""Where the links of each block lead: within the page, to its like, to forms and policies, or out of the site."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

import numpy as np

from tasks.crawling.engine.reading.blocks import Block, Cut
from tasks.crawling.engine.reading.table import Table, numbered, windowed

# Of each block so many links are looked at.
MAX_LINKS = 40
# By the first letters of a path's parts, and by hosts. The order gives each group its column.
_LEADS = (
    "login signin sign-in log-in register signup sign-up join account my-account profile user users member auth logout "
    "cart basket checkout wishlist subscribe newsletter password u @",
    "privacy terms legal cookie cookies about about-us contact contact-us careers jobs press help support faq faqs "
    "accessibility imprint sitemap policies policy disclaimer",
    "facebook twitter x instagram youtube linkedin pinterest tiktok whatsapp reddit t share sharer sharer.php intent",
    "tag tags category categories topic topics author authors archive archives collections collection c label labels "
    "department search",
    "product products p item items dp shop store buy",
    "blog news article articles post posts story stories insights press-release course courses job event events",
    "thread threads post posts forum forums questions question answer answers comment comments showthread.php "
    "viewtopic.php",
    "docs doc documentation reference api guide guides manual tutorial tutorials wiki",
)
_LEAD_BITS: dict[str, int] = {}
for _number, _group in enumerate(_LEADS):
    for _word in _group.split():
        _LEAD_BITS[_word] = _LEAD_BITS.get(_word, 0) | 1 << _number

KINDS = (
    "none", "fragment", "script", "mail", "outside", "query", "home", "here", "below", "beside", "deeper", "shallower",
    "file",
)  # fmt: skip
WIDTH = len(KINDS) + len(_LEADS)
# Of the columns, by how many blocks away the neighbourhood reaches.
_NAMES = {
    radius: tuple(f"to.{name}~{radius}" for name in (*KINDS, *numbered("lead", len(_LEADS)))) for radius in (0, 8)
}
_FILE = re.compile(r"\.(?:jpe?g|png|gif|webp|svg|pdf|zip|docx?|xlsx?|pptx?|mp[34])$", re.IGNORECASE)


def add_link_targets(table: Table, cut: Cut, *, url: str) -> None:
    """Add, for each block, which shares of its links lead where; of its neighbourhood, too."""
    page = _Page(url)
    # The last column counts links.
    own = np.zeros((len(cut.blocks), WIDTH + 1), dtype=np.float32)
    kinds: list[list[int]] = []
    linking: list[int] = []
    starts: list[int] = []
    for number, block in enumerate(cut.blocks):
        if block.marks and (targets := targets_of(block)):
            own[number, WIDTH] = len(targets)
            linking.append(number)
            starts.append(len(kinds))
            kinds.extend(map(page.kind_of, targets[:MAX_LINKS]))
    if not kinds:
        table.add_all(_NAMES[0] + _NAMES[8], 0.0)
        return
    own[linking, :WIDTH] = np.add.reduceat(np.array(kinds, dtype=np.float32), starts, axis=0)
    for radius, names in _NAMES.items():
        sums = windowed(own, radius).astype(np.float32) if radius else own
        table.add_all(names, (sums[:, :WIDTH] / np.maximum(sums[:, WIDTH:], 1)).T)


def targets_of(block: Block) -> list[str]:
    """Return what the links of a block lead to, as they stand in the page."""
    return [mark[1:] for _at, mark in block.marks if mark[0] == "a"]


class _Page:
    """The address that links are compared with."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = _bare(parts.hostname or "")
        self._parts = [part for part in parts.path.lower().split("/") if part]
        self._known: dict[str, list[int]] = {}

    def kind_of(self, target: str) -> list[int]:
        found = self._known.get(target)
        if found is None:
            kinds, mask = self._judged(target[:500].lower())
            found = [kind in kinds for kind in KINDS]
            found += [mask >> number & 1 for number in range(len(_LEADS))]
            self._known[target] = found
        return found

    def _judged(self, target: str) -> tuple[set[str], int]:
        """Return which kinds a target is of, and the bits of the groups that its words belong to."""
        if not target:
            return {"none"}, 0
        if target[0] == "#":
            return {"fragment"}, 0
        if target.startswith("javascript:"):
            return {"script"}, 0
        if target.startswith(("mailto:", "tel:", "sms:", "whatsapp:")):
            return {"mail"}, 0
        try:
            parts = urlsplit(target)
            host = _bare(parts.hostname or "")
        except ValueError:
            return set(), 0
        path = [part for part in parts.path.split("/") if part]
        is_outside = bool(host) and host != self._host
        kinds = {"outside"} if is_outside else self._places(path)
        if parts.query:
            kinds.add("query")
        if _FILE.search(parts.path):
            kinds.add("file")
        mask = 0
        for word in (*path[:6], *(host.split(".") if is_outside else ())):
            mask |= _LEAD_BITS.get(word, 0)
        return kinds, mask

    def _places(self, path: list[str]) -> set[str]:
        """Return where in the site a path is, seen from the page."""
        own = self._parts
        kinds = {"deeper"} if len(path) > len(own) else {"shallower"} if len(path) < len(own) else set()
        if not path:
            kinds.add("home")
        elif path == own:
            kinds.add("here")
        elif own and path[: len(own)] == own:
            kinds.add("below")
        elif len(path) == len(own) and path[:-1] == own[:-1]:
            kinds.add("beside")
        return kinds


@lru_cache(maxsize=256)
def _bare(host: str) -> str:
    return host.removeprefix("www.")
