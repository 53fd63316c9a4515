"""Reading a page out of static HTML, by the rules of the HTML standard and of accessible names.

What only a browser knows is left out here: shadow roots, style sheets, frames, what scripts add. ``live_page`` reads
that by the same rules.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import lxml.html
from lxml import etree
from lxml.html import HtmlElement

from tasks.discovery.engine.html_control import Surroundings, read_control
from tasks.discovery.engine.html_words import absolute, content_of, one_line, tokens
from tasks.discovery.engine.labels import Labels
from tasks.discovery.engine.page import Ancestor, Control, Form, Link, Method, Page

MAX_FORM_TEXT = 2000
MAX_RUN = 80
MAX_HEADING = 200
MAX_ANCESTORS = 5

_CONTROLS = frozenset({"input", "select", "textarea", "button"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "legend"})
# Their text is none that a person reads where it stands.
_SILENT = frozenset({"script", "style", "template", "noframes", "iframe", "datalist", "head"}) | _CONTROLS
# Attributes of a link by which a script does something else than follow it.
_SCRIPTS = re.compile(
    r"on(click|mousedown|pointerdown|touchstart)$|jsaction$|hx-|up-|wire:click|ng-click|(v-on|x-on):|@click|"
    r"data-(scripted|method|confirm|remote|ajax|turbo-(method|confirm|stream)|action|hx-[a-z-]+|(bs-)?toggle)$",
    re.IGNORECASE,
)
_METHODS = {"post": Method.POST, "dialog": Method.DIALOG}
_ENCTYPES = ("multipart/form-data", "text/plain")


def read_page(html: str, *, url: str) -> Page:
    """Return the forms, loose controls and links of a page; ``url`` is where it was found."""
    text = html.replace("\0", "").encode("utf-8", "replace")
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        root = lxml.html.document_fromstring(text, parser=parser)
    except etree.ParserError:  # nothing in it
        return Page(url=url, base_url=url)
    return Reader(root, url=url, base=_base_of(root, url)).page()


@dataclass(slots=True)
class _Owned:
    """The controls of one owner, and the elements that they were read from; whether one of them can be seen."""

    controls: list[Control] = field(default_factory=list)
    elements: list[HtmlElement] = field(default_factory=list)
    has_shown: bool = False


@dataclass(slots=True)
class _OpenForm:
    """A form while its page is being read."""

    element: HtmlElement
    # False for one that stands where nobody sees it, in a template say.
    is_met: bool = False
    heading_before: str = ""
    headings: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    owned: _Owned = field(default_factory=_Owned)


class Reader:
    """One walk through the tree, in the order of the document. ``base`` is what relative addresses start from."""

    def __init__(self, root: HtmlElement, *, url: str, base: str) -> None:
        self._root = root
        self._url = url
        self._base = base
        self._labels = self._read_labels()
        self._surroundings = Surroundings(self._labels)
        self._ancestors: dict[HtmlElement, Ancestor] = {}
        self._forms = {element: _OpenForm(element) for element in root.iter("form")}
        # The forms around the place where the walk is, innermost last; and the last one begun, open or not.
        self._around: list[_OpenForm] = []
        self._last: _OpenForm | None = None
        self._loose = _Owned()
        self._links: list[Link] = []
        self._heading = ""
        # The text since the last control, and who waits to be told what follows it.
        self._run: list[str] = []
        self._waiting: tuple[list[Control], int] | None = None
        self._link_run: list[str] = []

    def page(self) -> Page:
        """Return what the walk found."""
        for event, element in _walk(self._root):
            if event == "text":
                self._take_text(element)
            elif event == "start":
                self._start(element)
            elif element.tag == "form":
                self._end_run()
                self._around.pop()
        self._end_run()
        self._end_link_run()
        return Page(
            url=self._url,
            base_url=self._base,
            lang=self._root.get("lang", "").strip(),
            title=one_line("".join(self._root.xpath("(//title)[1]//text()")))[:500],
            forms=tuple(self._form(form) for form in self._met()),
            loose=tuple(self._loose.controls),
            links=tuple(self._links),
            head_links=tuple(self._link(element) for element in self._root.iter("link") if element.get("href")),
        )

    def form_elements(self) -> list[tuple[HtmlElement, list[HtmlElement]]]:
        """Return the form elements of the page's forms, each with those of its controls."""
        return [(form.element, form.owned.elements) for form in self._met()]

    @property
    def loose_elements(self) -> list[HtmlElement]:
        """The elements of the controls that no form owns."""
        return self._loose.elements

    def _met(self) -> Iterator[_OpenForm]:
        return (form for form in self._forms.values() if form.is_met)

    def _read_labels(self) -> Labels:
        return Labels(self._root)

    def _read_control(self, element: HtmlElement) -> Control:
        return read_control(element, around=self._surroundings, base=self._base)

    def _start(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag == "form":
            self._end_run()
            self._last = self._forms[element]
            self._last.is_met, self._last.heading_before = True, self._heading
            self._around.append(self._last)
        elif tag in _HEADINGS:
            self._heading = content_of(element)[:MAX_HEADING]
            if self._around:
                self._around[-1].headings.append(self._heading)
        elif tag in _CONTROLS:
            self._take_control(element)
        elif tag in ("a", "area") and element.get("href") is not None:
            self._end_link_run()
            self._links.append(self._link(element))
            if self._around:
                self._around[-1].links.append(content_of(element)[:MAX_RUN])

    def _take_text(self, text: str) -> None:
        self._run.append(text)
        self._link_run.append(text)
        if self._around:
            self._around[-1].texts.append(text)

    def _take_control(self, element: HtmlElement) -> None:
        control = self._read_control(element)
        before = "" if control.type == "hidden" else self._end_run()
        owner = self._owner_of(element)
        owned = self._forms[owner].owned if owner is not None else self._loose
        owned.controls.append(replace(control, text_before=before[-MAX_RUN:]))
        owned.elements.append(element)
        if control.type != "hidden":
            owned.has_shown = True
            self._waiting = (owned.controls, len(owned.controls) - 1)

    def _owner_of(self, element: HtmlElement) -> HtmlElement | None:
        """Return the form that a control belongs to."""
        if element.get("form") is not None:
            owner = self._labels.by_id(element.get("form"), beside=element)
            return owner if owner in self._forms else None
        if self._around:
            return self._around[-1].element
        # The parser ends a form early where tags are misnested. In HTML it stays open for the controls that follow;
        # a form that would have none at all is one of those.
        if self._last is not None and not self._last.owned.has_shown:
            return self._last.element
        return None

    def _end_run(self) -> str:
        """Give the text since the last control to that control, and return it."""
        text = one_line(" ".join(self._run))
        self._run.clear()
        if self._waiting is not None:
            owned, index = self._waiting
            owned[index] = replace(owned[index], text_after=text[:MAX_RUN])
            self._waiting = None
        return text

    def _end_link_run(self) -> None:
        """Give the text since the last link was begun to that link; its own text leads it."""
        run = one_line(" ".join(self._link_run))
        self._link_run.clear()
        if self._links:
            last = self._links[-1]
            after = run[len(last.text) :].strip() if run.startswith(last.text) else run
            self._links[-1] = replace(last, text_after=after[:MAX_RUN])

    def _link(self, element: HtmlElement) -> Link:
        before = self._links[-1].text_after if self._links and element.tag != "link" else ""
        return Link(
            href=absolute(self._base, element.get("href")),
            text=content_of(element)[:200],
            rel=tokens(element.get("rel", "").lower()),
            id=element.get("id", ""),
            title=one_line(element.get("title", "")),
            label=self._labels.aria(element),
            class_tokens=tokens(element.get("class")),
            image_text=one_line(" ".join(image.get("alt", "") for image in element.iter("img")))[:MAX_RUN],
            ancestors=tuple(map(self._ancestor, islice(element.iterancestors(), MAX_ANCESTORS))),
            text_before=before[-MAX_RUN:],
            is_current=element.get("aria-current", "false") != "false",
            is_scripted=any(map(_SCRIPTS.match, element.keys())),
            media_type=element.get("type", "").partition(";")[0].strip().lower()[:MAX_RUN],
        )

    def _ancestor(self, element: HtmlElement) -> Ancestor:
        if element not in self._ancestors:
            self._ancestors[element] = Ancestor(
                tag=element.tag,
                id=element.get("id", ""),
                role=element.get("role", ""),
                label=self._labels.aria(element),
                class_tokens=tokens(element.get("class")),
            )
        return self._ancestors[element]

    def _form(self, form: _OpenForm) -> Form:
        element = form.element
        enctype = element.get("enctype", "").strip().lower()
        return Form(
            action=absolute(self._base, element.get("action", "")) if element.get("action", "").strip() else self._url,
            method=_METHODS.get(element.get("method", "").strip().lower(), Method.GET),
            enctype=enctype if enctype in _ENCTYPES else "application/x-www-form-urlencoded",
            charset=next(iter(tokens(element.get("accept-charset"))), ""),
            id=element.get("id", ""),
            name=element.get("name", ""),
            role=element.get("role", ""),
            class_tokens=tokens(element.get("class")),
            label=self._labels.aria(element),
            heading=form.headings[0] if form.headings else form.heading_before,
            text=one_line(" ".join(form.texts))[:MAX_FORM_TEXT],
            link_texts=tuple(form.links),
            controls=tuple(form.owned.controls),
        )


def _base_of(root: HtmlElement, url: str) -> str:
    for element in root.iter("base"):
        if element.get("href") is not None:
            return absolute(url, element.get("href"))
    return url


def _walk(root: HtmlElement) -> Iterator[tuple[str, Any]]:
    """Yield ``start`` and ``end`` of elements and the ``text`` between them, as a reader of the page meets them."""
    walker = etree.iterwalk(root, events=("start", "end"))
    for event, element in walker:
        if event == "start":
            yield event, element
            if element.tag in _SILENT:
                walker.skip_subtree()
            elif element.text and not element.text.isspace():
                yield "text", element.text
        else:
            yield event, element
            if element.tail and not element.tail.isspace():
                yield "text", element.tail
