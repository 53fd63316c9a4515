"""Reading one control out of static HTML: its state, its label, its choices."""

import re
from collections import defaultdict
from collections.abc import Callable

import lxml.html
from ada_url import join_url
from lxml.html import HtmlElement

from tasks.discovery.engine.page import Control, Option

MAX_OPTIONS = 1000

_LABELABLE = frozenset({"button", "input", "meter", "output", "progress", "select", "textarea"})
_UNREAD = frozenset({"script", "style", "template", "select", "textarea", "option"})
_INPUT_TYPES = frozenset(
    {
        *(
            "hidden",
            "text",
            "search",
            "tel",
            "url",
            "email",
            "password",
            "date",
            "month",
            "week",
            "time",
            "datetime-local",
        ),
        *("number", "range", "color", "checkbox", "radio", "file", "submit", "image", "reset", "button"),
    }
)
_BUTTON_STATES = frozenset({"submit", "reset", "button"})
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def one_line(text: str | None) -> str:
    """Return the text trimmed and with single spaces."""
    return " ".join(text.split()) if text else ""


def tokens(text: str | None) -> tuple[str, ...]:
    """Return what stands between spaces."""
    return tuple(text.split()) if text else ()


def text_of(element: HtmlElement) -> str:
    """Return what a person reads in the element; controls in it are left out."""
    return one_line(" ".join(_pieces(element)))


def content_of(element: HtmlElement) -> str:
    """Return all text of an element that holds no controls: quicker than ``text_of``."""
    return one_line(element.text_content())


def absolute(base: str, href: str) -> str:
    """Return ``href`` as an absolute address, or as it stands where it is none."""
    try:
        return str(join_url(base, href.strip()))
    except ValueError:
        return href.strip()


def _pieces(element: HtmlElement) -> list[str]:
    pieces = [element.text or ""]
    for child in element:
        if child.tag not in _UNREAD:
            pieces += _pieces(child)
        pieces.append(child.tail or "")
    return pieces


class Labels:
    """Who labels whom on one page. ``scope_of`` tells apart trees whose ids do not know each other: shadow roots."""

    def __init__(self, root: HtmlElement, *, scope_of: Callable[[HtmlElement], str] = lambda _: "") -> None:
        self._scope_of = scope_of
        self._by_id: dict[tuple[str, str], HtmlElement] = {}
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
        found = (self.by_id(name, beside=element) for name in tokens(element.get(attribute)))
        return one_line(" ".join(text_of(other) for other in found if other is not None))

    def _target_of(self, label: HtmlElement) -> HtmlElement | None:
        if label.get("for") is not None:
            target = self.by_id(label.get("for"), beside=label)
            return target if target is not None and _is_labelable(target) else None
        return next((element for element in label.iter(*_LABELABLE) if _is_labelable(element)), None)


def read_control(element: HtmlElement, *, labels: Labels, base: str) -> Control:
    """Return the control that an input, select, textarea or button is. ``base`` is for the addresses in it."""
    kind = _type_of(element)
    return Control(
        type=kind,
        name=element.get("name", ""),
        id=element.get("id", ""),
        role=element.get("role", "").strip().lower(),
        class_tokens=tokens(element.get("class")),
        value=_value_of(element, kind),
        options=_options_of(element, labels),
        label=labels.label(element),
        description=labels.description(element),
        tool_description=one_line(element.get("toolparamdescription")),
        placeholder=one_line(element.get("placeholder")),
        title=one_line(element.get("title")),
        legend=_legend_of(element),
        caption=_caption_of(element, kind),
        pattern=element.get("pattern", ""),
        min=element.get("min", "").strip(),
        max=element.get("max", "").strip(),
        step=element.get("step", "").strip(),
        min_length=_whole(element.get("minlength")),
        max_length=_whole(element.get("maxlength")),
        accept=one_line(element.get("accept")),
        autocomplete=one_line(element.get("autocomplete")).lower(),
        is_required=element.get("required") is not None,
        is_multiple=element.get("multiple") is not None,
        is_checked=element.get("checked") is not None,
        is_disabled=_is_disabled(element),
        is_readonly=element.get("readonly") is not None,
        is_visible=_is_visible(element),
        is_in_search=_is_in_search(element),
        direction_name=element.get("dirname", ""),
        form_action=absolute(base, action) if (action := element.get("formaction", "").strip()) else "",
        form_method=element.get("formmethod", "").strip().lower(),
        form_enctype=element.get("formenctype", "").strip().lower(),
    )


def _is_labelable(element: HtmlElement) -> bool:
    return element.tag in _LABELABLE and element.get("type", "").lower() != "hidden"


def _type_of(element: HtmlElement) -> str:
    if element.tag == "select":
        return "select-multiple" if element.get("multiple") is not None else "select-one"
    if element.tag == "textarea":
        return "textarea"
    kind = str(element.get("type", "")).strip().lower()
    if element.tag == "button":
        return kind if kind in _BUTTON_STATES else "submit"
    return kind if kind in _INPUT_TYPES else "text"


def _value_of(element: HtmlElement, kind: str) -> str:
    if kind == "textarea":
        # A first line feed after the tag is not part of the value.
        return str(element.text_content()).removeprefix("\n")
    if kind in ("checkbox", "radio"):
        return str(element.get("value", "on"))
    return str(element.get("value", ""))


def _caption_of(element: HtmlElement, kind: str) -> str:
    if element.tag == "button":
        images = " ".join(image.get("alt", "") for image in element.iter("img"))
        return content_of(element) or one_line(images)
    if kind == "image":
        return one_line(element.get("alt"))
    return one_line(element.get("value")) if kind in _BUTTON_STATES else ""


def _options_of(element: HtmlElement, labels: Labels) -> tuple[Option, ...]:
    source: HtmlElement | None = element if element.tag == "select" else None
    if element.get("list"):
        source = labels.by_id(element.get("list"), beside=element)
    if source is None or source.tag not in ("select", "datalist"):
        return ()
    return tuple(_option(option) for option, _ in zip(source.iter("option"), range(MAX_OPTIONS), strict=False))


def _option(option: HtmlElement) -> Option:
    text = content_of(option)
    group = option.getparent() if option.getparent().tag == "optgroup" else None
    return Option(
        value=option.get("value", text),
        label=one_line(option.get("label")) or text,
        group="" if group is None else one_line(group.get("label")),
        is_selected=option.get("selected") is not None,
        is_disabled=option.get("disabled") is not None or (group is not None and group.get("disabled") is not None),
    )


def _legend_of(element: HtmlElement) -> str:
    for fieldset in element.iterancestors("fieldset"):
        legend = fieldset.find("legend")
        if legend is not None and text_of(legend):
            return text_of(legend)
    return ""


def _is_disabled(element: HtmlElement) -> bool:
    if element.get("disabled") is not None:
        return True
    for fieldset in element.iterancestors("fieldset"):
        # What stands in the first legend stays usable.
        legend = fieldset.find("legend")
        if fieldset.get("disabled") is not None and (legend is None or legend not in element.iterancestors("legend")):
            return True
    return False


def _is_visible(element: HtmlElement) -> bool:
    if element.get("type", "").lower() == "hidden" or _hides(element):
        return False
    return not any(_hides(ancestor) for ancestor in element.iterancestors())


def _is_in_search(element: HtmlElement) -> bool:
    return any(
        ancestor.tag == "search" or ancestor.get("role", "").strip().lower() == "search"
        for ancestor in element.iterancestors()
    )


def _hides(element: HtmlElement) -> bool:
    return element.get("hidden") is not None or bool(_HIDING_STYLE.search(element.get("style", "")))


def _whole(text: str | None) -> int | None:
    found = re.match(r"\s*\+?([0-9]{1,9})", text or "")
    return int(found[1]) if found else None
