"""Chosen blocks as Markdown: headings, lists, tables, code and links."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.core.web_address import canonical
from tasks.crawling.engine.reading.blocks import Block, Cut
from tasks.crawling.engine.reading.columns import HEADINGS

_LINE_START = re.compile(r"^(#{1,6}\s|>|[-+*]\s|\d{1,9}[.)]\s|```|~~~|\|)")
_LANGUAGE = re.compile(r"(?:^|\s)(?:lang|language|highlight-source|highlight)-([a-z0-9+#]{1,20})(?!\S)", re.IGNORECASE)
# Inline elements within each other that are marked; all of the text within each is looked at.
MAX_NESTED = 20
# Of the classes in which a language may be named: those of one element are read for each code within.
MAX_CLASS_CHARS = 1000
_TICKS = re.compile("`+")
_NO_LANGUAGE = frozenset({"text", "plaintext", "none", "default", "notranslate", "source"})
MAX_TABLE_CELLS = 20_000
_ASKED_FOR = frozenset({"table", "tr", "td", "th", "pre", "li", "ul", "ol", "dd", "blockquote", *HEADINGS})
# A table with longer rows only arranges a page.
MAX_ROW_WORDS = 150


@dataclass(slots=True)
class _Part:
    """Some lines of the document; ``item`` is the list item that they belong to."""

    text: str
    item: int = -1
    is_tight: bool = False


class Renderer:
    """Renders blocks of one page; ``base`` is what relative links start from."""

    def __init__(self, cut: Cut, *, base: str) -> None:
        self._cut = cut
        self._base = base
        self._kinds = cut.nodes.kinds_in_order
        self._begun: set[int] = set()
        self._known: dict[int, dict[str, int]] = {}
        self._links: dict[str, str | None] = {}
        # Tables that only arrange a page, and how many items of each list were rendered.
        self._layouts: set[int] = set()
        self._places: dict[int, int] = {}

    def render(self, chosen: Iterable[int]) -> str:
        """Return the blocks with these numbers, in ascending order, as one document."""
        parts: list[_Part] = []
        blocks = self._cut.blocks
        numbers = list(chosen)
        at = 0
        while at < len(numbers):
            block = blocks[numbers[at]]
            around = self._ancestors(block)
            end = at + 1
            table = around.get("table", -1)
            if table >= 0 and table not in self._layouts and "pre" not in around:
                end = self._run(numbers, at, table)
                if text := self._table([blocks[n] for n in numbers[at:end]], table):
                    parts.append(_Part(text))
                    at = end
                    continue
                self._layouts.add(table)
                end = at + 1
            if (pre := around.get("pre", -1)) >= 0:
                end = self._run(numbers, at, pre)
                parts.append(_Part(self._code([blocks[n] for n in numbers[at:end]], pre)))
            else:
                parts.append(self._paragraph(block, around))
            at = end
        return _joined(parts)

    def _ancestors(self, block: Block) -> dict[str, int]:
        """Return the nearest box around the block of each tag that is asked for; ``list.depth`` counts lists."""
        return self._around(block.owner)

    def _around(self, number: int) -> dict[str, int]:
        if number < 0:
            return {"list.depth": 0}
        found = self._known.get(number)
        if found is None:
            nodes = self._cut.nodes
            above = self._around(nodes.parent[number])
            tag = nodes.tags[number]
            found = above
            if tag in _ASKED_FOR:
                found = {**above, tag: number, "list.depth": above["list.depth"] + (tag in ("ul", "ol"))}
            self._known[number] = found
        return found

    def _run(self, numbers: list[int], at: int, node: int) -> int:
        """Return where the blocks within the node end, of which the one at ``at`` is: they follow each other."""
        end, blocks = self._cut.nodes.end[node], self._cut.blocks
        while at < len(numbers) and node <= blocks[numbers[at]].owner < end:
            at += 1
        return at

    def _paragraph(self, block: Block, around: dict[str, int]) -> _Part:
        text = self.inline(block)
        nodes = self._cut.nodes
        for level in range(1, 7):
            if f"h{level}" in around:
                return _Part(f"{'#' * level} {_one_line(text)}")
        item = around.get("li", -1)
        if item >= 0 and around["list.depth"]:
            indent = "    " * min(around["list.depth"] - 1, 5)
            if item in self._begun:
                return _Part(_indented(text, indent + "    "), item=item)
            self._begun.add(item)
            above = nodes.tags[nodes.parent[item]] if nodes.parent[item] >= 0 else "ul"
            sign = f"{self._place(item)}. " if above == "ol" else "- "
            return _Part(indent + sign + _indented(text, indent + "    ").lstrip(), item=item, is_tight=True)
        text = _LINE_START.sub(r"\\\1", text)
        if "dd" in around:
            return _Part(f": {_one_line(text)}", is_tight=True)
        if "blockquote" in around:
            text = "\n".join(f"> {line}" for line in text.split("\n"))
        return _Part(text)

    def _place(self, item: int) -> int:
        above = self._cut.nodes.parent[item]
        self._places[above] = self._places.get(above, 0) + 1
        return self._places[above]

    def inline(self, block: Block) -> str:
        """Return the text of a block with its links, code and emphasis."""
        return self._formatted(block.pieces, block.marks)

    def _formatted(self, pieces: list[str], marks: list[tuple[int, str]]) -> str:
        out: list[str] = []
        opened: list[tuple[str, int]] = []
        at = 0
        for place, mark in marks:
            out.extend(pieces[at:place])
            at = place
            if mark[0] == "/":
                if opened:
                    self._close(out, *opened.pop())
            elif mark[0] != "|":
                opened.append((mark if len(opened) < MAX_NESTED else "", len(out)))
        out.extend(pieces[at:])
        while opened:
            self._close(out, *opened.pop())
        lines = (_one_line(line) for line in "".join(out).split(_BREAK))
        return "\n".join(line for line in lines if line)

    def _cells(self, block: Block) -> dict[int, str]:
        """Return the texts of a row's cells by the numbers of their nodes; -1 for what stands between."""
        bounds = [(place, index, int(mark[1:])) for index, (place, mark) in enumerate(block.marks) if mark[0] == "|"]
        cells: dict[int, str] = {}
        for n, (start, index, cell) in enumerate(bounds):
            end, last, _ = bounds[n + 1] if n + 1 < len(bounds) else (len(block.pieces), len(block.marks), -1)
            marks = [(place - start, mark) for place, mark in block.marks[index:last]]
            text = self._formatted(block.pieces[start:end], marks)
            if cell >= 0 or text:
                cells[cell] = text
        return cells

    def _close(self, out: list[str], mark: str, start: int) -> None:
        if not mark:
            return
        inner = "".join(out[start:]).replace(_BREAK, " ")
        text = _one_line(inner)
        if not text:
            return
        if mark.startswith("a"):
            target = self._target(mark[1:])
            if target is None:
                return
            text = f"[{text}]({target})" if "](" not in text else text
        elif mark == "`":
            if "`" in text or "](" in text:
                return
            text = f"`{text}`"
        elif "*" in text:
            return
        else:
            text = f"{mark}{text}{mark}"
        out[start:] = [" " * (inner[0].isspace()), text, " " * (inner[-1].isspace())]

    def _target(self, href: str) -> str | None:
        if href not in self._links:
            url = None if not href or href.startswith("#") else canonical(href, base=self._base)
            self._links[href] = url.replace("(", "%28").replace(")", "%29") if url else None
        return self._links[href]

    def _code(self, blocks: list[Block], pre: int) -> str:
        text = "\n".join("".join(block.pieces).strip("\n").replace(_BREAK, "\n") for block in blocks).rstrip()
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(text)), default=0))
        return f"{fence}{self._language(pre)}\n{text}\n{fence}"

    def _language(self, pre: int) -> str:
        nodes = self._cut.nodes
        code = nodes.elements[pre].find("code")
        above = nodes.parent[pre]
        around = (above, nodes.parent[above]) if above >= 0 else ()
        own, *others = (self._kinds[nodes.kinds[number]][1] for number in (pre, *around) if number >= 0)
        for classes in (own, *(() if code is None else (code.get("class", ""),)), *others):
            found = _LANGUAGE.search(classes[:MAX_CLASS_CHARS])
            if found and found[1].lower() not in _NO_LANGUAGE:
                return found[1].lower()
        return ""

    def _table(self, blocks: list[Block], table: int) -> str:
        """Return a Markdown table, or nothing where the element only arranges a page."""
        rows: dict[int, dict[int, list[str]]] = {}
        for block in blocks:
            around = self._ancestors(block)
            if around.get("table") != table or "tr" not in around or len(block.tokens) > MAX_ROW_WORDS:
                return ""
            cell = max(around.get("td", -1), around.get("th", -1))
            texts = {cell: self.inline(block)} if cell > around["tr"] else self._cells(block)
            if -1 in texts:
                return ""
            row = rows.setdefault(around["tr"], {})
            for number, text in texts.items():
                row.setdefault(number, []).append(_one_line(text).replace("|", "\\|"))
        width = max((len(cells) for cells in rows.values()), default=0)
        if len(rows) < 2 or width < 2 or len(rows) * width > MAX_TABLE_CELLS:
            return ""
        lines = []
        for cells in rows.values():
            row_texts = [" ".join(filter(None, parts)) for parts in cells.values()]
            lines.append(f"| {' | '.join(row_texts + [''] * (width - len(row_texts)))} |")
        lines.insert(1, "|" + " --- |" * width)
        return "\n".join(lines)


_BREAK = "\u2028"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str, indent: str) -> str:
    return "\n".join(indent + line for line in text.split("\n"))


def _joined(parts: list[_Part]) -> str:
    out: list[str] = []
    before: _Part | None = None
    for part in parts:
        if not part.text.strip():
            continue
        if before is not None:
            tight = part.is_tight and (before.item >= 0 or part.item < 0)
            out.append("\n" if tight else "\n\n")
        out.append(part.text)
        before = part
    return "".join(out)


_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_FENCE = re.compile(r"^`{3,}[^\n`]*$", re.MULTILINE)


def plain(markdown: str) -> str:
    """Return the words of our Markdown: without the targets of links and the names of languages."""
    return _FENCE.sub("", _LINK.sub(r"\1", markdown))
