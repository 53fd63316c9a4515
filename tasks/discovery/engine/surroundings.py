"""What the elements around say of an element: that it is hidden, is in a search, is of a page's frame.

A page may have any number of elements in the same surroundings, so each element is looked at once.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from lxml.html import HtmlElement

Kind = TypeVar("Kind")


class Inherited(Generic[Kind]):
    """A value that an element has from itself and the one around it; ``of_root`` is what a root has from outside."""

    def __init__(self, own: Callable[[HtmlElement, Kind], Kind], *, of_root: Kind) -> None:
        self._own = own
        self._of_root = of_root
        self._known: dict[HtmlElement, Kind] = {}

    def of(self, element: HtmlElement | None) -> Kind:
        """Return what ``element`` has."""
        way = []
        while element is not None and element not in self._known:
            way.append(element)
            element = element.getparent()
        value = self._of_root if element is None else self._known[element]
        for inner in reversed(way):
            value = self._known[inner] = self._own(inner, value)
        return value
