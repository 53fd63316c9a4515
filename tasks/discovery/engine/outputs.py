"""From a site's answer to a typed value."""

import json
from typing import Any, Literal

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.answers import Answer
from tasks.discovery.engine.html_words import one_line
from tasks.discovery.engine.json_records import find_json_records
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.records import records_in
from tasks.discovery.engine.shown import is_kept_back

MAX_MAIN_TEXT = 20_000
_MAX_TITLE = 500
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_UNREAD = frozenset({"script", "style", "template", "noscript", "svg", "head", "iframe"})
# Around the content, on every page alike.
_FRAME = frozenset({"nav", "header", "footer", "aside"})


def read_outcome(
    answer: Answer, *, backend: Literal["http", "browser"], took_s: float, sent: dict[str, str] | None = None
) -> Outcome:
    """Return the answer, read: JSON as it is, a page as title, text and items, other text as ``{"text": ...}``."""
    value, items = read_value(answer)
    return Outcome(
        status=answer.status,
        url=answer.url,
        media_type=answer.media_type,
        text=answer.text,
        value=value,
        backend=backend,
        took_s=took_s,
        items=tuple(items),
        sent=sent or {},
    )


def read_value(answer: Answer) -> tuple[Any, list[dict[str, Any]]]:
    """Return the typed value of an answer and the records in it."""
    if answer.media_type in _PAGES:
        return read_page_value(answer.text, url=answer.url)
    if "json" in answer.media_type or answer.text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(answer.text)
        except (ValueError, RecursionError):
            pass
        else:
            return value, find_json_records(value)
    return {"text": answer.text[:MAX_MAIN_TEXT], "url": answer.url}, []


def read_page_value(html: str, *, url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return title, main text and items of a page."""
    root = parse_html(html)
    if root is None:
        return {"title": "", "text": "", "url": url, "items": []}, []
    title = one_line("".join(root.xpath("(//title)[1]//text()")))[:_MAX_TITLE]
    items = records_in(root, url=url)
    return {"title": title, "text": main_text(root), "url": url, "items": items}, items


def parse_html(html: str) -> HtmlElement | None:
    """Return the root of a page, or None where there is nothing in it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        return lxml.html.document_fromstring(html.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return None


def main_text(root: HtmlElement) -> str:
    """Return what a person reads in the page's main part, else in all of it but its frame."""
    main = next((element for element in root.iter("*") if element.tag == "main" or element.get("role") == "main"), None)
    pieces: list[str] = []
    _collect(root if main is None else main, pieces, skips=_UNREAD | _FRAME if main is None else _UNREAD)
    return one_line(" ".join(pieces))[:MAX_MAIN_TEXT]


def _collect(root: HtmlElement, pieces: list[str], *, skips: frozenset[str]) -> None:
    walker = etree.iterwalk(root, events=("start", "end"))
    for event, element in walker:
        if event == "start":
            if element.tag in skips or is_kept_back(element):
                walker.skip_subtree()
            elif element.text:
                pieces.append(element.text)
        elif element is not root and element.tail:
            pieces.append(element.tail)
