"""The repeated records of a page: rows of tables, and siblings that are built alike.

One group of records is chosen, the one that says most. Everything is a matter of structure and order, so the same page
gives the same records. Fields are named by what the page itself calls them: the header of a column, ``itemprop``, the
first telling class, else what the element is.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.html_words import absolute, one_line
from tasks.discovery.engine.record_fields import FieldReader, Fields, TooMuchToRead, field_name
from tasks.discovery.engine.shown import FRAME, Shares, shown_elements

MAX_RECORDS = 500
MAX_ELEMENTS = 50_000
MAX_CELL_CHARS = 2000

Record = dict[str, Any]

_NO_ITEM = frozenset(
    {
        *(
            "script",
            "style",
            "template",
            "noscript",
            "link",
            "meta",
            "br",
            "hr",
            "option",
            "optgroup",
            "input",
            "label",
        ),
        *(
            "select",
            "button",
            "textarea",
            "path",
            "g",
            "source",
            "col",
            "colgroup",
            "td",
            "th",
            "thead",
            "tbody",
            "tfoot",
        ),
        *(
            "tr",
            "table",
            "svg",
            "span",
            "em",
            "b",
            "i",
            "strong",
            "code",
            "sup",
            "sub",
            "img",
            "dt",
            "dd",
            "head",
            "body",
        ),
        *("caption", "legend", "h1", "h2", "h3", "h4", "h5", "h6", "form", "p"),
    }
)
# Says how an item stands now, or which it is, not what kind it is.
_STATE_CLASS = re.compile(
    r"(^|[-_])(odd|even|first|last|active|current|selected|open|new|unread|featured|row\d*|item\d+|\d+)$", re.IGNORECASE
)
_MIN_SIBLINGS = 2
_TEXT_THAT_COUNTS = 200
# A table with headers is meant as records; a list may be anything.
_TABLE_FACTOR = 3.0


def find_records(html: str, *, url: str) -> list[Record]:
    """Return the repeated records of a page, at most 500; links in them are absolute. Empty where nothing repeats."""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        root = lxml.html.document_fromstring(html.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return []
    return records_in(root, url=url)


def records_in(root: HtmlElement, *, url: str) -> list[Record]:
    """Return what ``find_records`` returns, of a page that was parsed already."""
    best: list[Record] = []
    best_score = 0.0
    with suppress(TooMuchToRead):
        for records, score in _Candidates(root, _base_of(root, url)).all():
            if score > best_score:
                best, best_score = records, score
    return best


class _Candidates:
    """The groups of records of one page."""

    def __init__(self, root: HtmlElement, base: str) -> None:
        self._root = root
        self._base = base
        self._fields = FieldReader(base)
        self._shares = Shares()
        # Rows to be ticked stand in a form; their table names its columns all the same.
        self._shares_of_tables = Shares(FRAME - {"form"})
        self._rows = _parts_of(root, "table", "tr")
        self._entries = _parts_of(root, "dl", "dt", "dd")

    def all(self) -> Iterator[tuple[list[Record], float]]:
        """Yield each group with how much it says."""
        for seen, parent in enumerate(shown_elements(self._root)):
            if seen > MAX_ELEMENTS:
                return
            if parent.tag == "table":
                records, is_named = _table(self._rows[parent], self._base)
                if is_named:
                    # A table that names its columns is one of records, be it of a single one just now.
                    yield records, _score(records, self._shares_of_tables.of(parent), least=1) * _TABLE_FACTOR
                else:
                    yield records, _score(records, self._shares.of(parent))
            elif parent.tag == "dl":
                records = _definitions(self._entries[parent], self._base)
                yield records, _score(records, self._shares.of(parent))
            elif len(parent) >= _MIN_SIBLINGS:
                for group in _groups(parent):
                    share = self._shares.of(group[0])
                    if share and _worth_reading(group):
                        records = self._items(group)
                        yield records, _score(records, share)

    def _items(self, group: list[HtmlElement]) -> list[Record]:
        read = [self._fields.read(element) for element in group[:MAX_RECORDS]]
        several = {name for fields in read for name, values in fields.items() if len(values) > 1}
        records = [_record(fields, several) for fields in read]
        return _alike([record for record in records if record])


def _parts_of(root: HtmlElement, whole: str, *parts: str) -> dict[HtmlElement, list[HtmlElement]]:
    """Return the parts of each table or list, without those of one inside it."""
    found: dict[HtmlElement, list[HtmlElement]] = defaultdict(list)
    for part in root.iter(*parts):
        around = next(part.iterancestors(whole), None)
        if around is not None:
            found[around].append(part)
    return found


def _score(records: list[Record], share: float, *, least: int = _MIN_SIBLINGS) -> float:
    """Return how much the records say, less where they are the frame of the page; 0 for what is no list."""
    return sum(_said(record) for record in records) * share if len(records) >= least else 0.0


def _said(record: Record) -> float:
    text = sum(min(len(value), _TEXT_THAT_COUNTS) for value in record.values() if _is_text(value))
    # Several values under one name are more often parts of several things.
    lists = (value for value in record.values() if isinstance(value, list))
    text += sum(min(len(value), _TEXT_THAT_COUNTS) for values in lists for value in values if _is_text(value)) // 2
    return (text + 5) * math.sqrt(min(len(record), 12))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not value.startswith(("http:", "https:"))


def _groups(parent: HtmlElement) -> list[list[HtmlElement]]:
    """Return the children that are built alike, and theirs where those are the rows of a grid."""
    groups = _alike_among(parent)
    rows = [_alike_among(*group) for group in groups]
    return [*groups, *(group for inner in rows for group in inner)]


def _alike_among(*parents: HtmlElement) -> list[list[HtmlElement]]:
    groups: dict[tuple[str, ...], list[HtmlElement]] = defaultdict(list)
    for parent in parents:
        for child in parent:
            if isinstance(child.tag, str) and child.tag not in _NO_ITEM:
                groups[_signature(child)].append(child)
    return [group for group in groups.values() if len(group) >= _MIN_SIBLINGS]


def _signature(element: HtmlElement) -> tuple[str, ...]:
    tokens = sorted({token for token in element.get("class", "").split() if not _STATE_CLASS.search(token)})
    return (element.tag, *tokens)


def _worth_reading(group: list[HtmlElement]) -> bool:
    """Whether the siblings hold text, and are no columns of one layout that hold groups themselves."""
    return any(one_line(element.text_content()[:500]) for element in group)


def _record(fields: Fields, several: set[str]) -> Record:
    return {name: values if name in several else values[0] for name, values in fields.items()}


def _alike(records: list[Record]) -> list[Record]:
    """Return the records if they share a field; siblings that share none are parts of a page, not a list."""
    names = Counter(name for record in records for name in record)
    return records if names and max(names.values()) * 2 > len(records) else []


def _table(rows: list[HtmlElement], base: str) -> tuple[list[Record], bool]:
    """Return the rows of a table as records, and whether it names its columns."""
    header, body = _header_and_body(rows)
    width = len(header) if header else _usual_width(body)
    if width == 0 or (not header and width < 2):
        return [], False
    names = _column_names(header, body, width)
    records = []
    for row in body[:MAX_RECORDS]:
        cells = _cells(row)
        if len(cells) == width and (record := _row(names, cells, base)):
            records.append(record)
    return records, bool(header)


def _cells(row: HtmlElement) -> list[HtmlElement]:
    return [cell for cell in row if cell.tag in ("td", "th")]


def _header_and_body(rows: list[HtmlElement]) -> tuple[list[HtmlElement], list[HtmlElement]]:
    """Return the cells that name the columns, and the rows below them; a footer is neither."""
    rows = [row for row in rows if _cells(row) and row.getparent().tag != "tfoot"]
    in_head = [row for row in rows if row.getparent().tag == "thead"]
    if in_head:
        body = [row for row in rows if row.getparent().tag != "thead"]
        usual = _usual_width(body)
        fits = [row for row in in_head if len(_cells(row)) == usual]
        return _cells((fits or in_head)[-1]), body
    if rows and all(cell.tag == "th" for cell in _cells(rows[0])):
        return _cells(rows[0]), rows[1:]
    return [], rows


def _usual_width(rows: list[HtmlElement]) -> int:
    widths = Counter(len(_cells(row)) for row in rows)
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _column_names(header: list[HtmlElement], body: list[HtmlElement], width: int) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    classes = _classes_of_cells(body, width)
    for at in range(width):
        name = field_name(header[at].get("data-column") or header[at].text_content()) if header else ""
        name = name or classes[at] or f"column_{at + 1}"
        names.append(f"{name}_{at + 1}" if name in taken else name)
        taken.add(names[-1])
    return names


def _classes_of_cells(body: list[HtmlElement], width: int) -> list[str]:
    cells = _cells(body[0]) if body else []
    if len(cells) != width:
        return [""] * width
    return [field_name(cell.get("class", "").partition(" ")[0]) for cell in cells]


def _row(names: list[str], cells: list[HtmlElement], base: str) -> Record:
    record: Record = {}
    for name, cell in zip(names, cells, strict=True):
        text = one_line(cell.text_content())[:MAX_CELL_CHARS]
        links = [link for link in cell.iter("a") if link.get("href")]
        if not text and not links and cell.find(".//input") is not None:
            continue  # a box to select the row with
        record[name] = text
        if len(links) == 1:
            record[f"{name}_url"] = absolute(base, links[0].get("href"))
    return record if any(record.values()) else {}


def _definitions(entries: list[HtmlElement], base: str) -> list[Record]:
    records: list[Record] = []
    for child in entries:
        text = one_line(child.text_content())[:MAX_CELL_CHARS]
        if child.tag == "dt":
            records.append({"term": text})
        elif records and "description" not in records[-1]:
            records[-1]["description"] = text
        if records and (link := child.find(".//a[@href]")) is not None:
            records[-1].setdefault("url", absolute(base, link.get("href")))
    return [record for record in records if record.get("term") or record.get("description")][:MAX_RECORDS]


def _base_of(root: HtmlElement, url: str) -> str:
    found = root.find(".//base[@href]")
    return url if found is None else absolute(url, found.get("href"))
