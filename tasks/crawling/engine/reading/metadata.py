"""What a page says about itself: title, author, dates, language, description, forms."""

import logging
import re
from dataclasses import dataclass

import lxml.html
from lxml import etree
from resiliparse.parse.lang import detect_fast
from trafilatura.metadata import extract_metadata

from tasks.core.web_address import canonical
from tasks.crawling.engine.reading.structured import Item, first_text

MAX_NAME_CHARS = 300
MAX_DESCRIPTION_CHARS = 1000
MAX_FORMS = 20
MAX_FIELDS = 50
# Below this, resiliparse's own scale of strangeness, a guess is right as a rule; it is made from enough text only.
MAX_STRANGENESS = 1200
MIN_LANGUAGE_CHARS = 60

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# What the libraries below stumble over in hostile pages. They are asked for extras, so nothing is lost but those.
_STUMBLES = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, AssertionError,
    etree.LxmlError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormSummary:
    """A form: where it leads, how, and the names of its fields."""

    action: str
    method: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Empty strings where the page does not say."""

    title: str
    author: str
    published: str
    modified: str
    language: str
    description: str


def read_metadata(root: lxml.html.HtmlElement, *, url: str, text: str, items: tuple[Item, ...]) -> Metadata:
    """Return what is declared, else what trafilatura and htmldate make of the page. May change the tree.

    Dates are days, ``YYYY-MM-DD``. The language is a code of BCP 47: the declared one, unless the text is plainly in
    another.
    """
    try:
        found = extract_metadata(root, default_url=url, extensive=False)
        title, author, published = found.title, found.author, found.date
        description = found.description
    except _STUMBLES as exc:
        logging.getLogger(__name__).debug("metadata of %s: %r", url, exc)
        title = author = published = description = None
    return Metadata(
        title=_line(title),
        author=_line(author),
        published=published or "",
        modified=_modified(root, items),
        language=_language(root, text),
        description=_line(description, limit=MAX_DESCRIPTION_CHARS),
    )


def read_forms(root: lxml.html.HtmlElement, *, base: str) -> tuple[FormSummary, ...]:
    """Return the page's forms in the order of the document."""
    forms = []
    for form in root.iter("form"):
        if len(forms) == MAX_FORMS:
            break
        action = canonical(form.get("action", "").strip() or base, base=base)
        names: dict[str, None] = {}
        for control in form.iter("input", "select", "textarea"):
            name = control.get("name", "")[:100]
            if name and control.get("type", "").lower() not in ("submit", "button", "reset", "image"):
                names[name] = None
            if len(names) == MAX_FIELDS:
                break
        if action:
            method = "post" if form.get("method", "").strip().lower() == "post" else "get"
            forms.append(FormSummary(action, method, tuple(names)))
    return tuple(forms)


def _modified(root: lxml.html.HtmlElement, items: tuple[Item, ...]) -> str:
    declared = root.xpath(
        "string(//meta[@property='article:modified_time' or @property='og:updated_time' or @itemprop='dateModified']"
        "/@content)"
    )
    found = _DATE.match(declared.strip()) or _DATE.match(first_text(items, "dateModified"))
    return found[0] if found else ""


def _language(root: lxml.html.HtmlElement, text: str) -> str:
    declared = (root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "").strip()
    if not declared:
        declared = root.xpath("string(//meta[@http-equiv='content-language' or @http-equiv='Content-Language']/@content)")
    declared = declared.strip().replace("_", "-") if _LANGUAGE.match(declared.strip()) else ""
    sample = text[:5000]
    if len(sample) < MIN_LANGUAGE_CHARS:
        return declared
    guessed, strangeness = detect_fast(sample, cutoff=MAX_STRANGENESS)
    if guessed == "unknown" or declared.lower().partition("-")[0] == guessed:
        return declared
    return declared if declared and strangeness > MAX_STRANGENESS / 2 else guessed


def _line(text: object, *, limit: int = MAX_NAME_CHARS) -> str:
    return " ".join(text.split())[:limit] if isinstance(text, str) else ""
