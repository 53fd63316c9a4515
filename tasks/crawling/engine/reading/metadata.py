"""What a page says about itself: title, author, dates, language, description, forms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from lxml import etree
from resiliparse.parse.lang import detect_fast

from tasks.core.web_address import canonical
from tasks.crawling.engine.reading.structured import Item, parts_of

MAX_NAME_CHARS = 300
MAX_DESCRIPTION_CHARS = 1000
MAX_FORMS = 20
MAX_FIELDS = 50
# Of a heading so much is read: texts of elements within it, and those between them.
MAX_PIECES = 1000
MAX_HEADING_CHARS = 10_000
# Below this, resiliparse's own scale of strangeness, a guess is right as a rule; it is made from enough text only.
MAX_STRANGENESS = 1200
MIN_LANGUAGE_CHARS = 60

# The kinds of JSON-LD object that stand for what the page is about, not for its site, its publisher or its neighbours.
_SUBJECTS = frozenset({
    "Article", "NewsArticle", "BlogPosting", "Report", "TechArticle", "ScholarlyArticle", "HowTo", "Recipe",
    "Product", "ProductGroup", "DiscussionForumPosting", "Question", "QAPage", "VideoObject", "Book", "Course",
    "Event", "JobPosting", "LearningResource", "APIReference", "AnalysisNewsArticle", "OpinionNewsArticle",
    "ReviewNewsArticle", "LiveBlogPosting", "SocialMediaPosting", "WebPage", "Review",
})  # fmt: skip
_WRITTEN = _SUBJECTS - {"Product", "ProductGroup", "Event", "JobPosting", "QAPage", "WebPage"}

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}\Z")
_DAY = re.compile(r"\s*(\d{4})-(\d{2})-(\d{2})(?!\d)")
_DAY_IN_PATH = re.compile(r"/((?:19|20)\d\d)[/-](\d{1,2})[/-](\d{1,2})(?=[/-])")
_BYLINE = re.compile(r"^(?:written |posted |published |article |words? |story )?by[:\s]+", re.IGNORECASE)
# What stands between a page's title and its site's name.
_PARTED = re.compile(r"\s+[|·•\u2013\u2014»-]\s+|\s*[|»]\s*")
_PUBLISHED = (
    "article:published_time", "og:published_time", "datepublished", "date", "dc.date", "dc.date.issued",
    "dcterms.date", "dcterms.created", "citation_publication_date", "parsely-pub-date", "sailthru.date",
    "publish-date", "publishdate", "pubdate", "publication_date", "article.published",
)  # fmt: skip
_MODIFIED = ("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "last-modified", "lastmod")
_AUTHORS = ("author", "article:author", "dc.creator", "dcterms.creator", "parsely-author", "sailthru.author", "byl")
_DESCRIPTIONS = ("description", "og:description", "twitter:description", "dc.description")
_PUBLISHED_TIMES = etree.XPath(
    "//time[@pubdate or @itemprop='datePublished' or contains(@class,'published')]/@datetime"
)
_TIMES = etree.XPath("//time/@datetime")
# One path, for a union of two takes libxml2 time that grows with the square of what they find.
_BYLINES = etree.XPath(
    "//*[@rel='author' or @itemprop='author'"
    " or ((self::a or self::span or self::p or self::div or self::address)"
    " and (contains(@class,'author-name') or contains(@class,'author__name') or contains(@class,'byline')"
    " or contains(@class,'post-author') or contains(@class,'entry-author')))]"
)
_TEXT = etree.XPath("string()", smart_strings=False)


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


def shown_title(root: etree._Element) -> str:
    """Return the text of the page's first ``title`` in its head or body, as it stands there."""
    for title in root.iter("title"):
        above = title.getparent()
        if above is not None and above.tag in ("head", "body"):
            return str(_TEXT(title))
    return ""


def read_metadata(root: etree._Element, *, url: str, text: str, items: tuple[Item, ...]) -> Metadata:
    """Return what the page declares in JSON-LD and meta elements, else what its headings, bylines and times show.

    Dates are days, ``YYYY-MM-DD``. The language is a code of BCP 47: the declared one, unless the text is plainly in
    another. Nothing is guessed from prose.
    """
    meta = _declared(root)
    subjects = [part for item in items for part in parts_of(item) if _kinds(part) & _SUBJECTS]
    written = [part for part in subjects if _kinds(part) & _WRITTEN]
    return Metadata(
        title=_title(root, meta),
        author=_author(root, meta, written),
        published=_published(root, meta, subjects, url=url),
        modified=_first_day([*_texts(subjects, "dateModified"), *(meta.get(name, "") for name in _MODIFIED)]),
        language=_language(root, meta, text),
        description=_line(_first(meta, _DESCRIPTIONS), limit=MAX_DESCRIPTION_CHARS),
    )


def read_forms(root: etree._Element, *, base: str) -> tuple[FormSummary, ...]:
    """Return the page's forms in the order of the document."""
    forms: list[FormSummary] = []
    for form in root.iter("form"):
        if len(forms) == MAX_FORMS:
            break
        action = canonical(form.get("action", "").strip() or base, base=base)
        if action is None:
            continue
        names: dict[str, None] = {}
        for control in form.iter("input", "select", "textarea"):
            name = control.get("name", "")[:100]
            if name and control.get("type", "").lower() not in ("submit", "button", "reset", "image"):
                names[name] = None
            if len(names) == MAX_FIELDS:
                break
        method = "post" if form.get("method", "").strip().lower() == "post" else "get"
        forms.append(FormSummary(action, method, tuple(names)))
    return tuple(forms)


def _declared(root: etree._Element) -> dict[str, str]:
    """Return the contents of meta elements by their names in lower case; the first of each counts."""
    meta: dict[str, str] = {}
    for element in root.iter("meta"):
        content = element.get("content")
        if not content:
            continue
        for key in ("name", "property", "itemprop", "http-equiv"):
            if name := element.get(key):
                meta.setdefault(name.strip().lower(), content)
    return meta


def _first(meta: dict[str, str], names: tuple[str, ...]) -> str:
    return next((meta[name] for name in names if meta.get(name, "").strip()), "")


def _kinds(item: Item) -> set[str]:
    kinds = item.get("@type")
    return {
        kind.rpartition("/")[2] for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)
    }


def _texts(items: list[Item], key: str) -> list[str]:
    return [item[key] for item in items if isinstance(item.get(key), str)]


def _title(root: etree._Element, meta: dict[str, str]) -> str:
    """Return the one heading of the first level, else what is given to social media, without the site's name."""
    shown = _line(shown_title(root))
    given = _line(_first(meta, ("og:title", "twitter:title", "dc.title"))) or shown
    words = set(re.findall(r"\w+", f"{given} {shown}".lower()))
    for heading in root.iter("h1"):
        text = _line(_start_of(heading)).rstrip(" ¶#")
        own = set(re.findall(r"\w+", text.lower()))
        if own and len(own & words) * 2 >= len(own):
            return text
    site = _line(meta.get("og:site_name", "")).lower()
    pieces = [piece.strip() for piece in _PARTED.split(given) if piece.strip()]
    if len(pieces) > 1 and (pieces[-1].lower() == site or (not site and len(pieces[-1].split()) <= 3)):
        return given[: given.rfind(pieces[-1])].rstrip(" |·•\u2013\u2014»-")
    return given


def _author(root: etree._Element, meta: dict[str, str], written: list[Item]) -> str:
    names = [name for item in written for name in _names(item.get("author"))]
    names = names or [meta[name] for name in _AUTHORS if meta.get(name)]
    names = [name for name in map(_name, names) if name]
    if not names and written:
        shown = (_name(_line(_TEXT(found))) for found in _BYLINES(root)[:5])
        names = [next(filter(None, shown), "")]
    return ", ".join(dict.fromkeys(filter(None, names)))[:MAX_NAME_CHARS]


def _names(value: object) -> Iterator[str]:
    for one in value[:10] if isinstance(value, list) else [value]:
        name = one.get("name") if isinstance(one, dict) else one
        if isinstance(name, str):
            yield name
        elif isinstance(name, list):
            yield from (part for part in name[:10] if isinstance(part, str))


def _name(text: str) -> str:
    """Return a person's name, or nothing for what is none: addresses, whole sentences."""
    name = _BYLINE.sub("", _line(text))
    is_name = 1 < len(name) <= 80 and len(name.split()) <= 8 and not re.search(r"https?:|www\.|@\w+\.|[{}<>]", name)
    return name.strip(" ,;|") if is_name else ""


def _published(root: etree._Element, meta: dict[str, str], subjects: list[Item], *, url: str) -> str:
    declared = [
        text for key in ("datePublished", "uploadDate", "dateCreated", "datePosted") for text in _texts(subjects, key)
    ]
    declared += [meta.get(name, "") for name in _PUBLISHED]
    if day := _first_day(declared):
        return day
    if found := _DAY_IN_PATH.search(url):
        return _day(*found.groups())
    marked = _PUBLISHED_TIMES(root)
    return _first_day(marked or _TIMES(root)[:1])


def _first_day(texts: list[str]) -> str:
    for text in texts:
        found = _DAY.match(text)
        if found and (day := _day(*found.groups())):
            return day
    return ""


def _day(year: str, month: str, day: str) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat() if int(year) >= 1990 else ""
    except ValueError:
        return ""


def _language(root: etree._Element, meta: dict[str, str], text: str) -> str:
    declared = (root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "").strip()
    declared = (declared or meta.get("content-language", "")).strip()
    declared = declared.replace("_", "-") if _LANGUAGE.match(declared) else ""
    sample = text[:5000]
    if len(sample) < MIN_LANGUAGE_CHARS:
        return declared
    guessed, strangeness = detect_fast(sample, cutoff=MAX_STRANGENESS)
    if guessed == "unknown" or declared.lower().partition("-")[0] == guessed:
        return declared
    return declared if declared and strangeness > MAX_STRANGENESS / 2 else guessed


def _start_of(element: etree._Element) -> str:
    """Return the first of an element's texts, enough for a line. All of it would be read again for each one around."""
    return "".join(islice(element.itertext(), MAX_PIECES))[:MAX_HEADING_CHARS]


def _line(text: object, *, limit: int = MAX_NAME_CHARS) -> str:
    return " ".join(text.split())[:limit] if isinstance(text, str) else ""
