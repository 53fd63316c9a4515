"""A page's HTML as a tree, for what the page's plain values do not hold."""

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

MAX_HTML_CHARS = 5_000_000


def parse_html(text: str) -> HtmlElement | None:
    """Return the root of the tree; None where there is nothing in it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    content = text[:MAX_HTML_CHARS].replace("\0", "").encode("utf-8", "replace")
    try:
        return lxml.html.document_fromstring(content, parser=parser)
    except etree.ParserError:
        return None
