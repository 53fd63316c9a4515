"""Who labels whom on one page, by the rules of HTML and of accessible names.

A page may have any element refer to any other, so each text is read once, and no further than a label goes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.html_words import one_line, tokens

MAX_TEXT_CHARS = 2000
MAX_PIECES = 5000
MAX_REFERENCES = 50

_LABELABLE = frozenset({"button", "input", "meter", "output", "progress", "select", "textarea"})
_UNREAD = frozenset({"script", "style", "template", "select", "textarea", "option"})


def text_of(element: HtmlElement) -> str:
    """Return what a person reads in the element, at most 2,000 characters; controls in it are left out."""
    pieces: list[str] = []
    size = 0
    for piece in _pieces(element):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_TEXT_CHARS * 2 or len(pieces) == MAX_PIECES:
            break
    return _bounded(pieces)


def _bounded(pieces: Iterable[str]) -> str:
    return one_line(" ".join(pieces))[:MAX_TEXT_CHARS].rstrip()


def _pieces(root: HtmlElement) -> Iterator[str]:
    walker = etree.iterwalk(root, events=("start", "end"))
    for event, element in walker:
        if event == "start":
            if element is not root and element.tag in _UNREAD:
                walker.skip_subtree()
            else:
                yield element.text or ""
        elif element is not root:
            yield element.tail or ""


class Labels:
    """The labels of one page. ``scope_of`` tells apart trees whose ids do not know each other: shadow roots."""

    def __init__(self, root: HtmlElement, *, scope_of: Callable[[HtmlElement], str] = lambda _: "") -> None:
        self._scope_of = scope_of
        self._by_id: dict[tuple[str, str], HtmlElement] = {}
        self._texts: dict[HtmlElement, str] = {}
        for element in root.iter(lxml.etree.Element):
            if element.get("id"):
                self._by_id.setdefault((scope_of(element), element.get("id")), element)
        self._native: dict[HtmlElement, list[str]] = defaultdict(list)
        for element in root.iter("label"):
            target = self._target_of(element)
            if target is not None:
                self._native[target].append(text_of(element))

    def by_id(self, name: str, *, beside: HtmlElement) -> HtmlElement | None:
        """Return the first element with this id in the tree that ``beside`` is in."""
        return self._by_id.get((self._scope_of(beside), name))

    def aria(self, element: HtmlElement) -> str:
        """Return the name that aria-labelledby, else aria-label, gives."""
        return self._referred(element, "aria-labelledby") or one_line(element.get("aria-label"))

    def label(self, element: HtmlElement) -> str:
        """Return the name that ARIA, else label elements, give to a control."""
        return self.aria(element) or one_line(" ".join(self._native.get(element, ())))

    def description(self, element: HtmlElement) -> str:
        """Return what aria-describedby, else aria-description, says of it."""
        return self._referred(element, "aria-describedby") or one_line(element.get("aria-description"))

    def _referred(self, element: HtmlElement, attribute: str) -> str:
        found = (self.by_id(name, beside=element) for name in tokens(element.get(attribute))[:MAX_REFERENCES])
        return _bounded(self._text(other) for other in found if other is not None)

    def _text(self, element: HtmlElement) -> str:
        if element not in self._texts:
            self._texts[element] = text_of(element)
        return self._texts[element]

    def _target_of(self, label: HtmlElement) -> HtmlElement | None:
        if label.get("for") is not None:
            target = self.by_id(label.get("for"), beside=label)
            return target if target is not None and _is_labelable(target) else None
        return next((element for element in label.iter(*_LABELABLE) if _is_labelable(element)), None)


def _is_labelable(element: HtmlElement) -> bool:
    return element.tag in _LABELABLE and element.get("type", "").lower() != "hidden"
