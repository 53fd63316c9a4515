"""A page cut into blocks: runs of text between the borders of paragraphs, headings, items and boxes."""

import re
from dataclasses import dataclass, field

import lxml.html
from lxml import etree

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
HEADINGS = {f"h{n}": n for n in range(1, 7)}
HIDDEN = 1 << 18
FLAG_COUNT = 19
# A digit on one side, or a capital after a small letter in Latin letters.
_SEAM = re.compile(r"\d|[a-zß-öø-ÿ][A-ZÀ-ÖØ-Þ]")
_NO_DISPLAY = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


@dataclass(slots=True)
class Node:
    """An element around blocks. Figures count its whole subtree and are complete once the page is cut."""

    element: lxml.html.HtmlElement
    parent: int
    depth: int
    own_names: int
    names: int
    own_flags: int
    flags: int
    kind: tuple[str, str]
    words: int = 0
    link_words: int = 0
    blocks: int = 0
    prose_words: int = 0
    links: int = 0
    images: int = 0
    first_block: int = -1
    last_block: int = -1
    same: int = 1


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

    nodes: list[Node] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class _Cutter:
    def __init__(self, *, is_scriptless: bool) -> None:
        self.cut = Cut()
        self._skipped = SKIPPED if is_scriptless else SKIPPED | {"noscript"}
        self._stack: list[int] = []
        self._boxes: list[int] = []
        self._pieces: list[str] = []
        self._linked: list[str] = []
        self._marks: list[tuple[int, str]] = []
        self._hrefs: list[str] = []
        self._flags = 0
        self._links = 0

    def walk(self, root: lxml.html.HtmlElement) -> Cut:
        walker = etree.iterwalk(root, events=("start", "end"))
        nodes, skipped = self.cut.nodes, self._skipped
        for event, element in walker:
            tag = element.tag
            if event == "start":
                if tag in skipped or not isinstance(tag, str) or len(nodes) >= MAX_NODES:
                    walker.skip_subtree()
                    self._pieces.append(" ")
                    continue
                self._start(element, tag)
            elif (
                tag in skipped
                or not isinstance(tag, str)
                or not self._stack
                or (nodes[self._stack[-1]].element is not element)
            ):
                self._text(element.tail)
            else:
                self._end(element, tag)
        self._flush()
        self._sum()
        return self.cut

    def _start(self, element: lxml.html.HtmlElement, tag: str) -> None:
        nodes = self.cut.nodes
        parent = self._stack[-1] if self._stack else -1
        names = element.get("class", "")
        label = element.get("id")
        own_names = name_mask(f"{names} {label}" if label else names) if names or label else 0
        own_flags = FLAGS.get(tag, 0) | ROLES.get(element.get("role", ""), 0)
        style = element.get("style")
        if (
            element.get("hidden") is not None
            or element.get("aria-hidden") == "true"
            or (style and _NO_DISPLAY.search(style))
        ):
            own_flags |= HIDDEN
        if tag in BOXES:
            self._flush()
        number = len(nodes)
        if parent < 0:
            nodes.append(Node(element, -1, 0, own_names, own_names, own_flags, own_flags, (tag, names)))
        else:
            above = nodes[parent]
            nodes.append(
                Node(
                    element,
                    parent,
                    above.depth + 1,
                    own_names,
                    above.names | own_names,
                    own_flags,
                    above.flags | own_flags,
                    (tag, names),
                )
            )
        self._stack.append(number)
        if tag in BOXES:
            self._boxes.append(number)
        elif tag in SPACED:
            self._part(None)
            if tag == "img":
                nodes[number].images = 1
            elif tag in CELLS:
                self._mark(f"|{number}")
        elif tag == "span":
            self._part_spans(element, number)
        elif tag == "br":
            self._pieces.append("\u2028")  # a line break that is no white space of the source
        if tag == "a":
            self._hrefs.append((element.get("href") or "").strip())
            self._links += 1
            self._mark("a" + self._hrefs[-1])
        elif tag in MARKED:
            self._mark(MARKED[tag])
        self._flags |= own_flags
        self._text(element.text)

    def _end(self, element: lxml.html.HtmlElement, tag: str) -> None:
        self._stack.pop()
        if tag in BOXES:
            self._flush()
            self._boxes.pop()
        if tag == "a":
            self._hrefs.pop()
            self._mark("/a")
        elif tag in MARKED:
            self._mark("/" + MARKED[tag])
        elif tag in CELLS:
            self._mark("|-1")
        if tag in SPACED:
            self._part(element.tail)
        self._text(element.tail)

    def _text(self, text: str | None) -> None:
        if text:
            self._pieces.append(text)
            if self._hrefs:
                self._linked.append(text)

    def _part(self, after: str | None) -> None:
        """Keep two words apart where nothing but a style sheet would."""
        if after is None:
            if self._pieces and self._pieces[-1][-1:].isalnum():
                self._pieces.append(" ")
        elif after[:1].isalnum():
            self._pieces.append(" ")

    def _part_spans(self, element: lxml.html.HtmlElement, number: int) -> None:
        """Keep two spans apart that touch and hold a word each: "2019" and "12 posts". Code is left as it stands."""
        if not self._pieces or not self._pieces[-1][-1:].isalnum() or self.cut.nodes[number].flags & FLAGS["code"]:
            return
        before = element.getprevious()
        if before is None or before.tag != "span" or before.tail:
            return
        left, right = self._pieces[-1][-2:], (element.text or "")[:2]
        # Single characters are drop caps and formulas; a word may be coloured in halves, though not at these seams.
        if len(left) == len(right) == 2 and (left + right).isalnum() and _SEAM.search(left[1] + right[0]):
            self._pieces.append(" ")

    def _mark(self, mark: str) -> None:
        self._marks.append((len(self._pieces), mark))

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        linked = self._linked
        flags, links = self._flags, self._links
        pieces, marks = self._pieces, self._marks
        self._pieces, self._linked, self._marks, self._flags, self._links = [], [], [], 0, 0
        if self._hrefs:  # a link around several boxes leads from each of them
            self._mark("a" + self._hrefs[-1])
        if text.isspace() or not self._boxes or len(self.cut.blocks) >= MAX_BLOCKS:
            return
        tokens = WORD.findall(text.lower())
        if not tokens:
            return
        link_words = len(WORD.findall(" ".join(linked))) if linked else 0
        owner = self._boxes[-1]
        node = self.cut.nodes[owner]
        self.cut.blocks.append(
            Block(
                text=text,
                tokens=tokens,
                owner=owner,
                tag=node.kind[0],
                flags=flags | node.flags,
                mask=text_mask(tokens[:40]),
                link_words=min(link_words, len(tokens)),
                links=links,
                lines=text.count("\u2028"),
                pieces=pieces,
                marks=marks,
            )
        )

    def _sum(self) -> None:
        """Add up what blocks hold over the nodes around them, innermost first."""
        nodes = self.cut.nodes
        for number, block in enumerate(self.cut.blocks):
            node = nodes[block.owner]
            count = len(block.tokens)
            node.words += count
            node.link_words += block.link_words
            node.links += block.links
            node.blocks += 1
            if count >= 10 and block.link_words * 3 < count:
                node.prose_words += count
            if node.first_block < 0:
                node.first_block = number
            node.last_block = number
        alike: dict[tuple[int, tuple[str, str]], int] = {}
        for node in reversed(nodes):
            if node.parent < 0:
                continue
            above = nodes[node.parent]
            above.words += node.words
            above.link_words += node.link_words
            above.links += node.links
            above.blocks += node.blocks
            above.prose_words += node.prose_words
            above.images += node.images
            if node.first_block >= 0:
                if above.first_block < 0 or node.first_block < above.first_block:
                    above.first_block = node.first_block
                above.last_block = max(above.last_block, node.last_block)
            if node.words:
                key = (node.parent, node.kind)
                alike[key] = alike.get(key, 0) + 1
        for node in nodes:
            node.same = alike.get((node.parent, node.kind), 1)


def cut_page(root: lxml.html.HtmlElement) -> Cut:
    """Return the page's blocks; scripts, styles and controls without text of their own are left out.

    What stands in ``noscript`` counts where it is more than all the rest: a page that scripts would fill.
    """
    cut = _Cutter(is_scriptless=False).walk(root)
    spare = sum(len(element.xpath("string()").split()) for element in root.iter("noscript"))
    if spare > sum(len(block.tokens) for block in cut.blocks):
        return _Cutter(is_scriptless=True).walk(root)
    return cut
