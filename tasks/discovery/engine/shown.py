"""What of a page is its subject: not what it keeps back for later, and hardly what stands around on every page."""

import re
from collections.abc import Iterator

from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.surroundings import Inherited

FRAME = frozenset({"nav", "header", "footer", "aside", "form"})
_FRAME_ROLES = frozenset(
    {"navigation", "banner", "contentinfo", "complementary", "menu", "menubar", "tablist", "search"}
)
_NO_SUBJECT = frozenset({"nav", "footer"})
_NO_SUBJECT_ROLES = frozenset({"navigation", "contentinfo", "menu", "menubar"})
_FRAME_WORDS = re.compile(
    r"(^|[-_\s])(nav(bar|igation)?|menu|breadcrumbs?|pagination|pager|paginator|footer|header|sidebar|toolbar|tabs)($|[-_\s])",
    re.IGNORECASE,
)
_NOT_SHOWN = frozenset({"script", "style", "template", "noscript", "head"})
_FRAME_SHARE = 0.02


def shown_elements(root: HtmlElement) -> Iterator[HtmlElement]:
    """Yield the elements in the order of the document, without what a page keeps out of sight for later."""
    walker = etree.iterwalk(root, events=("start",))
    for _, element in walker:
        if is_kept_back(element):
            walker.skip_subtree()
        elif isinstance(element.tag, str):
            yield element


def is_kept_back(element: HtmlElement) -> bool:
    """Whether an element says of itself that nobody sees it yet: a template, a closed dialog, what is ``hidden``."""
    if element.tag in _NOT_SHOWN or (element.tag == "dialog" and element.get("open") is None):
        return True
    return str(element.get("hidden", "until-found")).lower() != "until-found"


class Shares:
    """How much of what elements say counts: nothing of what the page itself calls its way around or its foot."""

    def __init__(self, frames: frozenset[str] = FRAME) -> None:
        self._frames = frames
        self._shares = Inherited(self._own, of_root=1.0)

    def of(self, element: HtmlElement) -> float:
        """Return the share of ``element``, from 0 to 1."""
        return self._shares.of(element)

    def _own(self, element: HtmlElement, around: float) -> float:
        role = element.get("role", "").lower()
        if element.tag in _NO_SUBJECT or role in _NO_SUBJECT_ROLES:
            return 0.0
        if element.tag in ("body", "html", "main"):
            return 1.0
        is_frame = element.tag in self._frames or role in _FRAME_ROLES
        if is_frame or _FRAME_WORDS.search(f"{element.get('class', '')} {element.get('id', '')}"):
            return min(around, _FRAME_SHARE)
        return around
