"""Reading what ``snapshot.js`` found in one frame of a browser, by the same rules as static HTML.

The script sends the tree as XML: shadow roots where they are shown, current values as attributes, and a ``number`` on
each form and control. What no attribute can say (owner, visibility, computed name, selectors) comes beside it, in
``facts``, by that number.
"""

from dataclasses import dataclass, replace
from typing import Any

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.html_page import Reader
from tasks.discovery.engine.labels import Labels
from tasks.discovery.engine.page import Control, Page
from tasks.discovery.engine.site import FormSelectors


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's page and how to find its forms and loose controls again. ``is_cut``: there was more than is read."""

    page: Page
    origin: str
    charset: str
    selectors: tuple[FormSelectors, ...]
    loose_selectors: tuple[tuple[str, ...], ...]
    declarative: frozenset[str]
    is_cut: bool


def read_frame(answer: dict[str, Any], *, is_top: bool = True) -> Frame:
    """Return what the script's ``answer`` says of its frame."""
    parser = lxml.html.XHTMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(answer["xml"].encode() or b"<html/>", parser)
    reader = _LiveReader(root, url=answer["url"], base=answer["base"], facts=answer["facts"])
    page = reader.page()
    frame_url = "" if is_top else answer["url"]
    return Frame(
        page=page,
        origin=answer["origin"],
        charset=answer["charset"],
        selectors=tuple(
            FormSelectors(
                form=reader.selectors(form), controls=tuple(map(reader.selectors, controls)), frame_url=frame_url
            )
            for form, controls in reader.form_elements()
        ),
        loose_selectors=tuple(map(reader.selectors, reader.loose_elements)),
        declarative=frozenset(filter(None, answer["declarative"])),
        is_cut=answer["is_cut"],
    )


class _LiveReader(Reader):
    """Knows from the browser what static HTML leaves open."""

    def __init__(self, root: HtmlElement, *, url: str, base: str, facts: list[dict[str, Any]]) -> None:
        super().__init__(root, url=url, base=base)
        self._facts = facts
        self._numbered = {int(form.get("number")): form for form in root.iter("form") if form.get("number")}

    def selectors(self, element: HtmlElement) -> tuple[str, ...]:
        """Return the selectors of a form or control, best first."""
        return tuple(self._fact(element).get("selectors", ()))

    def _read_labels(self) -> Labels:
        return Labels(self._root, scope_of=lambda element: element.get("scope", ""))

    def _owner_of(self, element: HtmlElement) -> HtmlElement | None:
        return self._numbered.get(self._fact(element).get("owner", -1))

    def _read_control(self, element: HtmlElement) -> Control:
        control = super()._read_control(element)
        fact = self._fact(element)
        control = replace(control, is_visible=bool(fact.get("visible")), is_of_widget=bool(fact.get("labelled")))
        name = " ".join(fact.get("name", "").split())
        if not name or name in (control.title, control.placeholder):
            return control
        if control.is_button:
            return control if control.caption else replace(control, caption=name)
        return control if control.label else replace(control, label=name)

    def _fact(self, element: HtmlElement) -> dict[str, Any]:
        number = element.get("number")
        return self._facts[int(number)] if number is not None else {}
