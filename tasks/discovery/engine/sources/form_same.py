"""Which forms are the same one, met again on another page or beside another item."""

import re
from collections.abc import Hashable
from urllib.parse import parse_qsl, urlsplit

from tasks.discovery.engine.page import Control, Form, Method, Page

_NUMBER = re.compile(r"\d+")
# Hidden fields whose value says what is done, so that another value is another function.
_ACT_NAME = re.compile(
    r"_?(method|action|act|op|operation|do|cmd|command|task|mode|step|form_?(id|name))", re.IGNORECASE
)


def signature(form: Form, *, page: Page) -> Hashable:
    """Return what a form shares with its other appearances and with no other form of the site."""
    return (
        form.method,
        _target(form, page),
        tuple(dict.fromkeys((control.type, _NUMBER.sub("0", control.name)) for control in form.controls)),
        tuple(button.caption for button in form.buttons if button.is_submit),
        tuple((control.name, control.value) for control in form.controls if says_act(control)),
    )


def says_act(control: Control) -> bool:
    """Whether a hidden value says what the form does."""
    is_plain = control.type == "hidden" and 0 < len(control.value) <= 60 and not control.value.isdigit()
    return is_plain and bool(_ACT_NAME.fullmatch(control.name.strip("_[]")))


def _target(form: Form, page: Page) -> Hashable:
    if form.action.partition("#")[0] == page.url.partition("#")[0]:
        # It comes back to its own page: what it offers tells it from others that do.
        offered = tuple(option.value for control in form.controls for option in control.options)[:50]
        return (form.id, form.heading if form.heading in form.text else "", offered)
    parts = urlsplit(form.action)
    query = [] if form.method is Method.GET else parse_qsl(parts.query, keep_blank_values=True)
    kept = tuple((name, "" if _NUMBER.search(value) else value) for name, value in query)
    return (parts.scheme, parts.netloc, _NUMBER.sub("0", parts.path), kept)
