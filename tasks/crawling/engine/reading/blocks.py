"""A page cut into blocks: runs of text between the borders of paragraphs, headings, items and boxes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from tasks.core.web_address import MAX_URL_CHARS
from tasks.crawling.engine.reading.columns import Columns
from tasks.crawling.engine.reading.nodes import Nodes, Sums
from tasks.crawling.engine.reading.words import name_mask, text_mask

WORD = re.compile(r"\w+")
# Text beyond this is not looked at: no page that a person reads has more.
MAX_BLOCKS = 20_000
MAX_NODES = 100_000

SKIPPED = frozenset({
    "script", "style", "template", "svg", "head", "iframe", "object", "embed", "select", "datalist", "textarea",
    "canvas", "video", "audio", "math", "input", "progress", "meter", "map", "frameset", "title",
})  # fmt: skip
BOXES = frozenset({
    "html", "body", "p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "table",
    "caption", "thead", "tbody", "tfoot", "tr", "pre", "blockquote", "section", "article", "main", "header",
    "footer", "nav", "aside", "form", "fieldset", "legend", "figure", "figcaption", "details", "summary",
    "address", "hr", "button", "dialog", "center", "menu", "label", "hgroup", "search", "noscript",
})  # fmt: skip
# What a person reads apart, although nothing but a style sheet may part it.
SPACED = frozenset({"td", "th", "a", "img", "option", "time", "picture"})
CELLS = frozenset({"td", "th"})
FLAGS = {
    "main": 1, "article": 2, "nav": 4, "header": 8, "footer": 16, "aside": 32, "form": 64, "ul": 128, "ol": 128,
    "table": 256, "a": 512, "button": 1024, "dialog": 2048, "section": 4096, "figure": 8192, "details": 16384,
    "menu": 4, "blockquote": 32768, "dl": 65536, "pre": 131072, "code": 131072, "label": 1024,
}  # fmt: skip
ROLES = {
    "main": 1, "article": 2, "navigation": 4, "banner": 8, "contentinfo": 16, "complementary": 32, "form": 64,
    "search": 64, "dialog": 2048, "alertdialog": 2048, "menu": 4, "menubar": 4, "button": 1024, "tabpanel": 16384,
    "listbox": 1024, "alert": 2048,
}  # fmt: skip
MARKED = {"code": "`", "kbd": "`", "samp": "`", "tt": "`", "b": "**", "strong": "**", "em": "*", "i": "*"}
HIDDEN = 1 << 18
FLAG_COUNT = 19
# A digit on one side, or a capital after a small letter in Latin letters.
_SEAM = re.compile(r"\d|[a-zß-öø-ÿ][A-ZÀ-ÖØ-Þ]")
# What is done at an element's borders, by its tag: one look-up for each of a page's elements.
_BOX, _SPACED, _MARKED, _SPAN, _BREAK = 1, 2, 3, 4, 5
_STEPS = {
    **dict.fromkeys(BOXES, _BOX), **dict.fromkeys(SPACED, _SPACED), **dict.fromkeys(MARKED, _MARKED),
    "span": _SPAN, "br": _BREAK,
}  # fmt: skip
# Of where a link leads; longer addresses are none that a crawler follows.
MAX_HREF_CHARS = 4 * MAX_URL_CHARS
_ALL_TEXT = etree.XPath("string()", smart_strings=False)
_NO_DISPLAY = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


@dataclass(slots=True)
class Block:
    """A run of text. ``owner`` is the number of the innermost box around it."""

    text: str
    tokens: list[str]
    owner: int
    tag: str
    flags: int
    mask: int
    link_words: int
    links: int
    lines: int
    # The text again in pieces, and what inline elements begin or end before which of them.
    pieces: list[str]
    marks: list[tuple[int, str]]


@dataclass(slots=True)
class Cut:
    """The blocks of a page and the elements around them, both in the order of the document."""

    nodes: Nodes
    blocks: list[Block]
    columns: Columns
    sums: Sums


class _Cutter:
    """Cuts a page in one walk over its elements."""

    def __init__(self, *, is_scriptless: bool) -> None:
        self.nodes = Nodes()
        self.blocks: list[Block] = []
        self._skipped = SKIPPED if is_scriptless else SKIPPED | {"noscript"}
        self._stack: list[int] = []
        self._boxes: list[int] = []
        self._pieces: list[str] = []
        self._linked: list[str] = []
        self._marks: list[tuple[int, str]] = []
        # The marks of the links around.
        self._linking: list[str] = []
        self._flags = 0
        self._links = 0
        self._known: dict[tuple[str, str], tuple[int, int, int]] = {}

    def walk(self, root: etree._Element) -> Cut:
        walker = etree.iterwalk(root, events=("start", "end"))
        skipped, parents, start, end = self._skipped, self.nodes.parent, self._start, self._end
        is_skipping = False
        for event, element in walker:
            if event == "start":
                tag = element.tag
                if tag in skipped or not isinstance(tag, str) or len(parents) >= MAX_NODES:
                    walker.skip_subtree()
                    self._pieces.append(" ")
                    is_skipping = True  # the end of this one comes next
                else:
                    start(element, tag)
            elif is_skipping:
                is_skipping = False
                self._text(element.tail)
            else:
                end(element.tail)
        self._flush()
        columns = Columns.of(self.blocks)
        return Cut(self.nodes, self.blocks, columns, self.nodes.sums(columns))

    def _traits(self, element: etree._Element, tag: str) -> tuple[int, int, int, str]:
        """Return the number of the element's kind, what its names and itself stand for, and where it leads."""
        attributes = element.items()
        if not attributes:
            names = ""
        elif len(attributes) == 1 and attributes[0][0] == "class":
            names = attributes[0][1]
        else:
            return self._traits_of(tag, dict(attributes))
        found = self._known.get((tag, names))
        if found is None:
            mask = name_mask(names) if names else 0
            found = self._known[tag, names] = (self.nodes.kind_of(tag, names), mask, FLAGS.get(tag, 0))
        return (*found, "")

    def _traits_of(self, tag: str, known: dict[str, str]) -> tuple[int, int, int, str]:
        names, label = known.get("class", ""), known.get("id")
        mask = name_mask(f"{names} {label}" if label else names) if names or label else 0
        flags = FLAGS.get(tag, 0)
        if "role" in known:
            flags |= ROLES.get(known["role"], 0)
        style = known.get("style")
        if "hidden" in known or known.get("aria-hidden") == "true" or (style and _NO_DISPLAY.search(style)):
            flags |= HIDDEN
        return self.nodes.kind_of(tag, names), mask, flags, known.get("href", "").strip()[:MAX_HREF_CHARS]

    def _start(self, element: etree._Element, tag: str) -> None:
        nodes, stack = self.nodes, self._stack
        kind, names, flags, href = self._traits(element, tag)
        number = len(nodes.parent)
        step = _STEPS.get(tag, 0)
        if step == _BOX:
            if self._pieces:
                self._flush()
            self._boxes.append(number)
        nodes.add(tag, kind, stack[-1] if stack else -1, names, flags)
        stack.append(number)
        self._flags |= flags
        pieces = self._pieces
        if step:
            if step == _SPAN:
                if pieces and pieces[-1][-1:].isalnum() and not nodes.flags[number] & FLAGS["code"]:
                    self._part_spans(element)
            elif step == _SPACED:
                self._start_spaced(tag, number, href)
            elif step == _MARKED:
                self._marks.append((len(pieces), MARKED[tag]))
            elif tag == "pre":
                nodes.elements[number] = element
            elif step == _BREAK:
                pieces.append("\u2028")  # a line break that is no white space of the source
        if text := element.text:
            pieces.append(text)
            if self._linking:
                self._linked.append(text)

    def _start_spaced(self, tag: str, number: int, href: str) -> None:
        pieces = self._pieces
        if pieces and pieces[-1][-1:].isalnum():
            pieces.append(" ")
        if tag == "a":
            self._links += 1
            self._linking.append("a" + href)
            self._marks.append((len(pieces), self._linking[-1]))
        elif tag == "img":
            self.nodes.with_image.append(number)
        elif tag in CELLS:
            self._marks.append((len(pieces), f"|{number}"))

    def _end(self, tail: str | None) -> None:
        nodes = self.nodes
        number = self._stack.pop()
        tag = nodes.tags[number]
        step = _STEPS.get(tag, 0)
        if step == _BOX:
            if self._pieces:
                self._flush()
            self._boxes.pop()
        elif step == _SPACED:
            if tag == "a":
                self._linking.pop()
                self._marks.append((len(self._pieces), "/a"))
            elif tag in CELLS:
                self._marks.append((len(self._pieces), "|-1"))
            self._part(tail)
        elif step == _MARKED:
            self._marks.append((len(self._pieces), "/" + MARKED[tag]))
        nodes.end[number] = len(nodes.parent)
        if tail:
            self._pieces.append(tail)
            if self._linking:
                self._linked.append(tail)

    def _text(self, text: str | None) -> None:
        if text:
            self._pieces.append(text)
            if self._linking:
                self._linked.append(text)

    def _part(self, after: str | None) -> None:
        """Keep two words apart where nothing but a style sheet would."""
        if after is None:
            if self._pieces and self._pieces[-1][-1:].isalnum():
                self._pieces.append(" ")
        elif after[:1].isalnum():
            self._pieces.append(" ")

    def _part_spans(self, element: etree._Element) -> None:
        """Keep two spans apart that touch and hold a word each: "2019" and "12 posts". Code is left as it stands."""
        before = element.getprevious()
        if before is None or before.tag != "span" or before.tail:
            return
        left, right = self._pieces[-1][-2:], (element.text or "")[:2]
        # Single characters are drop caps and formulas; a word may be coloured in halves, though not at these seams.
        if len(left) == len(right) == 2 and (left + right).isalnum() and _SEAM.search(left[1] + right[0]):
            self._pieces.append(" ")

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        linked = self._linked
        flags, links = self._flags, self._links
        pieces, marks = self._pieces, self._marks
        self._pieces, self._linked, self._marks, self._flags, self._links = [], [], [], 0, 0
        if self._linking:  # a link around several boxes leads from each of them
            self._marks.append((0, self._linking[-1]))
        if text.isspace() or not self._boxes or len(self.blocks) >= MAX_BLOCKS:
            return
        tokens = WORD.findall(text.lower())
        if not tokens:
            return
        link_words = len(WORD.findall(" ".join(linked))) if linked else 0
        owner = self._boxes[-1]
        self.blocks.append(
            Block(
                text=text,
                tokens=tokens,
                owner=owner,
                tag=self.nodes.tags[owner],
                flags=flags | self.nodes.flags[owner],
                mask=text_mask(tokens[:40]),
                link_words=min(link_words, len(tokens)),
                links=links,
                lines=text.count("\u2028"),
                pieces=pieces,
                marks=marks,
            )
        )


def _outermost(root: etree._Element, tag: str) -> Iterator[etree._Element]:
    """Give the elements of a tag that are in no other one: the text of each part of the page once."""
    end = None
    for event, element in etree.iterwalk(root, events=("start", "end"), tag=tag):
        if event == "start" and end is None:
            end = element
            yield element
        elif event == "end" and element is end:
            end = None


def cut_page(root: etree._Element) -> Cut:
    """Return the page's blocks; scripts, styles and controls without text of their own are left out.

    What stands in ``noscript`` counts where it is more than all the rest: a page that scripts would fill.
    """
    cut = _Cutter(is_scriptless=False).walk(root)
    spare = sum(len(_ALL_TEXT(element).split()) for element in _outermost(root, "noscript"))
    if spare > cut.sums.total_words:
        return _Cutter(is_scriptless=True).walk(root)
    return cut
