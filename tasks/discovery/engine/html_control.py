"""Reading one control out of static HTML: its state, its label, its choices."""

import re

from lxml.html import HtmlElement

from tasks.discovery.engine.html_words import absolute, content_of, one_line, tokens
from tasks.discovery.engine.labels import Labels, text_of
from tasks.discovery.engine.page import Control, Option
from tasks.discovery.engine.surroundings import Inherited

MAX_OPTIONS = 1000

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


class Surroundings:
    """What stands around the controls of one page."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self._options: dict[HtmlElement, tuple[Option, ...]] = {}
        self._hidden = Inherited(lambda element, around: around or _hides(element), of_root=False)
        self._search = Inherited(lambda element, around: around or _searches(element), of_root=False)
        self._first_legends: dict[HtmlElement, HtmlElement | None] = {}
        self._legends = Inherited(self._legend, of_root="")
        self._disabled = Inherited(self._disables, of_root=False)

    def options_of(self, element: HtmlElement) -> tuple[Option, ...]:
        """Return the choices of a select, or those that an input's list offers."""
        source: HtmlElement | None = element if element.tag == "select" else None
        if element.get("list"):
            source = self.labels.by_id(element.get("list"), beside=element)
        if source is None or source.tag not in ("select", "datalist"):
            return ()
        if source not in self._options:
            some = zip(source.iter("option"), range(MAX_OPTIONS), strict=False)
            self._options[source] = tuple(_option(option) for option, _ in some)
        return self._options[source]

    def legend_of(self, element: HtmlElement) -> str:
        """Return the legend of the innermost fieldset around that has one."""
        return self._legends.of(element.getparent())

    def is_disabled(self, element: HtmlElement) -> bool:
        """Whether the control or a fieldset around it is; what stands in a fieldset's first legend stays usable."""
        return element.get("disabled") is not None or self._disabled.of(element.getparent())

    def is_visible(self, element: HtmlElement) -> bool:
        """Whether no attribute of the control or around it hides it."""
        return element.get("type", "").lower() != "hidden" and not self._hidden.of(element)

    def is_in_search(self, element: HtmlElement) -> bool:
        """Whether something around it is a search."""
        return self._search.of(element.getparent())

    def _legend(self, element: HtmlElement, around: str) -> str:
        if element.tag != "fieldset":
            return around
        legend = self._first_legend(element)
        return ("" if legend is None else text_of(legend)) or around

    def _disables(self, element: HtmlElement, around: bool) -> bool:
        if element.tag == "fieldset":
            return around or element.get("disabled") is not None
        fieldset = element.getparent() if element.tag == "legend" else None
        if fieldset is not None and fieldset.tag == "fieldset" and self._first_legend(fieldset) is element:
            return self._disabled.of(fieldset.getparent())
        return around

    def _first_legend(self, fieldset: HtmlElement) -> HtmlElement | None:
        if fieldset not in self._first_legends:
            self._first_legends[fieldset] = fieldset.find("legend")
        return self._first_legends[fieldset]


def read_control(element: HtmlElement, *, around: Surroundings, base: str) -> Control:
    """Return the control that an input, select, textarea or button is. ``base`` is for the addresses in it."""
    kind = _type_of(element)
    labels = around.labels
    return Control(
        type=kind,
        name=element.get("name", ""),
        id=element.get("id", ""),
        role=element.get("role", "").strip().lower(),
        class_tokens=tokens(element.get("class")),
        value=_value_of(element, kind),
        options=around.options_of(element),
        label=labels.label(element),
        description=labels.description(element),
        tool_description=one_line(element.get("toolparamdescription")),
        placeholder=one_line(element.get("placeholder")),
        title=one_line(element.get("title")),
        legend=around.legend_of(element),
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
        is_disabled=around.is_disabled(element),
        is_readonly=element.get("readonly") is not None,
        is_visible=around.is_visible(element),
        is_in_search=around.is_in_search(element),
        direction_name=element.get("dirname", ""),
        form_action=absolute(base, action) if (action := element.get("formaction", "").strip()) else "",
        form_method=element.get("formmethod", "").strip().lower(),
        form_enctype=element.get("formenctype", "").strip().lower(),
    )


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


def _searches(element: HtmlElement) -> bool:
    return bool(element.tag == "search" or element.get("role", "").strip().lower() == "search")


def _hides(element: HtmlElement) -> bool:
    return element.get("hidden") is not None or bool(_HIDING_STYLE.search(element.get("style", "")))


def _whole(text: str | None) -> int | None:
    found = re.match(r"\s*\+?([0-9]{1,9})", text or "")
    return int(found[1]) if found else None
