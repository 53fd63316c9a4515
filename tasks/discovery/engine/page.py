"""A page as discovery sees it: forms, their controls, and links, in plain values.

Static HTML fills it (``html_page``), and so can a snapshot of a live browser: nothing here knows a parser. Text is
trimmed and has single spaces. Addresses are absolute. What a page lacks is the empty string, or ``None`` for a number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """How a form leaves the page."""

    GET = "get"
    POST = "post"
    DIALOG = "dialog"


@dataclass(frozen=True, slots=True)
class Option:
    """A choice of a select or a data list. ``label`` is what a person reads, ``group`` the optgroup's label."""

    value: str
    label: str
    group: str = ""
    is_selected: bool = False
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """One input, select, textarea or button, with its attributes as HTML understands them.

    ``type`` is the state HTML gives it: ``text`` for an unknown input, ``select-one`` or ``select-multiple``,
    ``textarea``, and ``submit``, ``reset``, ``button`` or ``image`` for what is pressed.
    """

    type: str
    name: str = ""
    id: str = ""
    # Its role attribute; empty where it says none.
    role: str = ""
    class_tokens: tuple[str, ...] = ()
    # The value that the page came with; of a checkbox or radio, the value it sends when it is on.
    value: str = ""
    options: tuple[Option, ...] = ()

    # By HTML's own rules: aria-labelledby, aria-label, label elements.
    label: str = ""
    # aria-describedby or aria-description.
    description: str = ""
    # toolparamdescription: what the page tells programs about it.
    tool_description: str = ""
    placeholder: str = ""
    title: str = ""
    # Of the innermost fieldset that has one.
    legend: str = ""
    # What stands between the control before and this one, and after it: all that old pages have for a label.
    text_before: str = ""
    text_after: str = ""
    # Of a button: what it says.
    caption: str = ""

    pattern: str = ""
    min: str = ""
    max: str = ""
    step: str = ""
    min_length: int | None = None
    max_length: int | None = None
    accept: str = ""
    autocomplete: str = ""

    is_required: bool = False
    is_multiple: bool = False
    is_checked: bool = False
    is_disabled: bool = False
    is_readonly: bool = False
    # False where an attribute says so; only a live browser knows the style sheets.
    is_visible: bool = True
    # A label in sight names it, though it is out of sight itself: a widget stands in its place and fills it in. Only a
    # live browser knows.
    is_of_widget: bool = False
    # Whether it stands in an element whose role is search.
    is_in_search: bool = False
    # dirname: the name under which the direction of what was typed is sent as well.
    direction_name: str = ""

    # Of a submit button: what it overrides. Empty where it does not.
    form_action: str = ""
    form_method: str = ""
    form_enctype: str = ""

    @property
    def is_button(self) -> bool:
        """Whether it is pressed rather than filled in."""
        return self.type in BUTTON_TYPES

    @property
    def is_submit(self) -> bool:
        """Whether pressing it sends the form."""
        return self.type in ("submit", "image")

    @property
    def is_checkable(self) -> bool:
        """Whether it is on or off."""
        return self.type in ("checkbox", "radio")


BUTTON_TYPES = frozenset({"submit", "image", "reset", "button"})


@dataclass(frozen=True, slots=True)
class Form:
    """A form and all controls that belong to it, wherever they stand (``form=``), in the order of the document."""

    action: str
    method: Method = Method.GET
    enctype: str = "application/x-www-form-urlencoded"
    # Of accept-charset, the first; empty where the page's own is meant.
    charset: str = ""
    id: str = ""
    name: str = ""
    role: str = ""
    class_tokens: tuple[str, ...] = ()
    # aria-labelledby or aria-label.
    label: str = ""
    # The last heading in the form before its first control, else the last one before the form.
    heading: str = ""
    # All that a person reads in it, options left out.
    text: str = ""
    link_texts: tuple[str, ...] = ()
    controls: tuple[Control, ...] = ()

    @property
    def fields(self) -> Iterator[Control]:
        """The controls that a person fills in or chooses, be it through a widget."""
        return (one for one in self.controls if not one.is_button and (one.type != "hidden" or one.is_of_widget))

    @property
    def buttons(self) -> Iterator[Control]:
        """The controls that are pressed."""
        return (control for control in self.controls if control.is_button)


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An element around a link."""

    tag: str
    id: str = ""
    role: str = ""
    label: str = ""
    class_tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """An ``a`` or ``area`` with a target. ``ancestors`` are innermost first and at most five."""

    href: str
    text: str = ""
    rel: tuple[str, ...] = ()
    id: str = ""
    title: str = ""
    label: str = ""
    class_tokens: tuple[str, ...] = ()
    # Text of the image inside, where there is one.
    image_text: str = ""
    ancestors: tuple[Ancestor, ...] = ()
    # The visible text between this link and its neighbours, for a page number that is no link.
    text_before: str = ""
    text_after: str = ""
    is_current: bool = False
    # Whether attributes say that a script does something else than follow it.
    is_scripted: bool = False
    # What the link says that it leads to; in lower case, without parameters.
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page offers. ``head_links`` are the ``link`` elements with a target, and the links of its header.

    ``kept_back`` are links that the site sent with the page and that its scripts have taken out until something opens
    them: those of menus, mostly.
    """

    url: str
    base_url: str
    lang: str = ""
    title: str = ""
    forms: tuple[Form, ...] = ()
    # Controls that no form owns.
    loose: tuple[Control, ...] = ()
    links: tuple[Link, ...] = ()
    head_links: tuple[Link, ...] = ()
    kept_back: tuple[Link, ...] = ()
