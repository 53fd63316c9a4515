"""What of a page is its subject: not what it keeps back for later, and hardly what stands around on every page."""

import re
from collections.abc import Iterator

from lxml import etree
from lxml.html import HtmlElement

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


def share_of(element: HtmlElement, *, frames: frozenset[str]) -> float:
    """Return how much of what is said counts: nothing of what the page itself calls its way around or its foot."""
    share = 1.0
    for node in (element, *element.iterancestors()):
        role = node.get("role", "").lower()
        if node.tag in _NO_SUBJECT or role in _NO_SUBJECT_ROLES:
            return 0.0
        if node.tag in ("body", "html", "main"):
            return share
        if node.tag in frames or role in _FRAME_ROLES:
            share = _FRAME_SHARE
        if _FRAME_WORDS.search(f"{node.get('class', '')} {node.get('id', '')}"):
            share = _FRAME_SHARE
    return share
