"""Tables, lists, code and quotations in the middle of kept text, or right below it, belong to it.

The models know small ones mostly as menus, shelves and specifications, and beside a paragraph that is plainly text
they are left out. Where such a piece stands tells more than what is in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.crawling.engine.reading.blocks import FLAGS, HIDDEN, Cut
from tasks.crawling.engine.reading.columns import HEADINGS
from tasks.crawling.engine.reading.markdown import MAX_ROW_WORDS
from tasks.crawling.engine.reading.table import Floats

PIECES = frozenset({"table", "pre", "ul", "ol", "dl", "blockquote", "address"})
# What texts are made of otherwise. Boxes beside them (``div``, ``section``) may be a column of their own.
_FLOW = frozenset({"p", "figure", "details", "hgroup", "header", "center", *HEADINGS, *PIECES})
_AWAY = HIDDEN | sum(FLAGS[tag] for tag in ("nav", "header", "footer", "aside", "form", "button", "dialog"))
# A piece that the models are surer about is left to them: this likely at least, of links not more than this share,
# and not so many times the words of what is kept without it.
LEAST_LIKELY = 0.2
MOST_LINKED = 0.3
MOST_WORDS = 1.5


@dataclass(frozen=True, slots=True)
class _Piece:
    """An element, and the numbers of the blocks within it."""

    node: int
    blocks: range


def with_pieces(cut: Cut, chosen: list[int], likely: Floats) -> list[int]:
    """Return the chosen blocks with those of the pieces that belong to them, and of headings right above such pieces.

    Of a piece that is chosen in part the rest comes with it. One that is left out comes where the block before it is
    chosen (headings between the two aside) and stands beside it in the same element, or in one built alike.
    """
    kept = set(chosen)
    words = sum(len(cut.blocks[number].tokens) for number in kept)
    page = _Page(cut)
    for piece in page.pieces():
        missing = [number for number in piece.blocks if number not in kept]
        if missing and _may_be_text(cut, piece, missing, likely, most_words=MOST_WORDS * words):
            above = page.headings_above(piece, kept)
            if len(missing) < len(piece.blocks) or page.stands_in(piece, kept, above):
                kept.update(missing, above)
    return sorted(kept)


def _may_be_text(cut: Cut, piece: _Piece, missing: list[int], likely: Floats, *, most_words: float) -> bool:
    blocks = [cut.blocks[number] for number in missing]
    words = sum(len(block.tokens) for block in blocks)
    expected = sum(float(likely[number]) * len(cut.blocks[number].tokens) for number in missing)
    linked = int(cut.sums.link_words[piece.node])
    return (
        words <= most_words
        and expected >= LEAST_LIKELY * words
        and linked <= MOST_LINKED * int(cut.sums.words[piece.node])
        and not any(block.flags & _AWAY for block in blocks)
    )


class _Page:
    """The pieces of a page, and what stands around them."""

    def __init__(self, cut: Cut) -> None:
        self._nodes, self._blocks, self._sums = cut.nodes, cut.blocks, cut.sums
        self._layouts = self._find_layouts()
        self._known: dict[int, int] = {-1: -1}

    def pieces(self) -> Iterator[_Piece]:
        """Give the outermost pieces, in order."""
        at = 0
        while at < len(self._blocks):
            node, first = self._piece_of(self._blocks[at].owner), at
            at += 1
            if node >= 0:
                while at < len(self._blocks) and self._piece_of(self._blocks[at].owner) == node:
                    at += 1
                yield _Piece(node, range(first, at))

    def headings_above(self, piece: _Piece, kept: set[int]) -> range:
        """Return the headings right above a piece that are left out themselves."""
        at = piece.blocks.start
        while at - 1 not in kept and self._is_heading(at - 1):
            at -= 1
        return range(at, piece.blocks.start)

    def stands_in(self, piece: _Piece, kept: set[int], above: range) -> bool:
        """Tell whether a piece stands in the kept text, given the headings above it that are left out."""
        before = above.start - 1
        if before < 0:
            return bool(above) and piece.blocks.stop in kept
        if before not in kept:
            return False
        inside, beside = self._meet(piece.node, self._blocks[before].owner)
        own = int(self._sums.words[piece.node])
        own += sum(len(self._blocks[number].tokens) for number in above if self._blocks[number].owner > inside)
        if inside != piece.node and int(self._sums.words[inside]) != own:
            return False
        if beside < 0 or self._nodes.tags[beside] in _FLOW:
            return True
        is_alike = self._nodes.kinds[beside] == self._nodes.kinds[inside]
        return is_alike or int(self._sums.blocks[beside]) == 1 or self._is_wrapped_piece(beside, before)

    def _is_wrapped_piece(self, box: int, block: int) -> bool:
        piece = self._piece_of(self._blocks[block].owner)
        return piece >= 0 and int(self._sums.words[piece]) == int(self._sums.words[box])

    def _is_heading(self, number: int) -> bool:
        if number < 0:
            return False
        block = self._blocks[number]
        return block.tag in HEADINGS and not block.flags & _AWAY and self._piece_of(block.owner) < 0

    def _meet(self, piece: int, before: int) -> tuple[int, int]:
        """Return the children, around a piece and around what is before it, of the innermost element around both.

        The latter is -1 where that element is what is before it.
        """
        around = list(self._path(piece))
        beside, box = -1, before
        while box not in around:
            beside, box = box, self._nodes.parent[box]
        return around[around.index(box) - 1], beside

    def _path(self, node: int) -> Iterator[int]:
        while node >= 0:
            yield node
            node = self._nodes.parent[node]

    def _piece_of(self, node: int) -> int:
        """Return the outermost piece around an element or itself, -1 where there is none."""
        found = self._known.get(node)
        if found is None:
            found = self._piece_of(self._nodes.parent[node])
            if found < 0 and self._nodes.tags[node] in PIECES and node not in self._layouts:
                found = node
            self._known[node] = found
        return found

    def _find_layouts(self) -> set[int]:
        """Return the tables that only arrange a page: with headings or long texts in them."""
        found: set[int] = set()
        seen: set[int] = set()
        for block in self._blocks:
            if block.flags & FLAGS["table"] and (block.tag in HEADINGS or len(block.tokens) > MAX_ROW_WORDS):
                for node in self._path(block.owner):
                    if node in seen:
                        break
                    seen.add(node)
                    if self._nodes.tags[node] == "table":
                        found.add(node)
        return found
