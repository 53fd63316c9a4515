"""The repeated records of a page: rows of tables, and siblings that are built alike.

One group of records is chosen, the one that says most. Everything is a matter of structure and order, so the same page
gives the same records. Fields are named by what the page itself calls them: the header of a column, ``itemprop``, the
first telling class, else what the element is.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.html_control import absolute, one_line
from tasks.discovery.engine.record_fields import Fields, field_name, read_fields
from tasks.discovery.engine.shown import FRAME, share_of, shown_elements

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
    base = _base_of(root, url)
    best: list[Record] = []
    best_score = 0.0
    for records, score in _candidates(root, base):
        if score > best_score:
            best, best_score = records, score
    return best


def _candidates(root: HtmlElement, base: str) -> Iterator[tuple[list[Record], float]]:
    for seen, parent in enumerate(shown_elements(root)):
        if seen > MAX_ELEMENTS:
            return
        if parent.tag == "table":
            records, is_named = _table(parent, base)
            # A table that names its columns is one of records, be it of a single one just now.
            score = _score(records, parent, least=1 if is_named else _MIN_SIBLINGS)
            yield records, score * (_TABLE_FACTOR if is_named else 1.0)
        elif parent.tag == "dl":
            records = _definitions(parent, base)
            yield records, _score(records, parent)
        elif len(parent) >= _MIN_SIBLINGS:
            for group in _groups(parent):
                if _worth_reading(group):
                    records = _items(group, base)
                    yield records, _score(records, group[0])


def _score(records: list[Record], element: HtmlElement, *, least: int = _MIN_SIBLINGS) -> float:
    """Return how much the records say, less where they are the frame of the page; 0 for what is no list."""
    if len(records) < least:
        return 0.0
    said = sum(_said(record) for record in records)
    # Rows to be ticked stand in a form; their table names its columns all the same.
    return said * share_of(element, frames=FRAME - {"form"} if least < _MIN_SIBLINGS else FRAME)


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


def _items(group: list[HtmlElement], base: str) -> list[Record]:
    read = [read_fields(element, base=base) for element in group[:MAX_RECORDS]]
    several = {name for fields in read for name, values in fields.items() if len(values) > 1}
    records = [_record(fields, several) for fields in read]
    return _alike([record for record in records if record])


def _record(fields: Fields, several: set[str]) -> Record:
    return {name: values if name in several else values[0] for name, values in fields.items()}


def _alike(records: list[Record]) -> list[Record]:
    """Return the records if they share a field; siblings that share none are parts of a page, not a list."""
    names = Counter(name for record in records for name in record)
    return records if names and max(names.values()) * 2 > len(records) else []


def _table(table: HtmlElement, base: str) -> tuple[list[Record], bool]:
    """Return the rows as records, and whether the table names its columns."""
    rows = [row for row in table.iter("tr") if _table_of(row) is table]
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


def _table_of(row: HtmlElement) -> HtmlElement | None:
    return next(row.iterancestors("table"), None)


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
    for at in range(width):
        name = field_name(header[at].get("data-column") or header[at].text_content()) if header else ""
        name = name or _class_of_cells(body, at, width) or f"column_{at + 1}"
        names.append(name if name not in names else f"{name}_{at + 1}")
    return names


def _class_of_cells(body: list[HtmlElement], at: int, width: int) -> str:
    for row in body[:1]:
        cells = _cells(row)
        if len(cells) == width:
            return field_name(cells[at].get("class", "").partition(" ")[0])
    return ""


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


def _definitions(element: HtmlElement, base: str) -> list[Record]:
    records: list[Record] = []
    for child in element.iter("dt", "dd"):
        if next(child.iterancestors("dl"), None) is not element:
            continue
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
