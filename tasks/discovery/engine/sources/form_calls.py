"""How a form is sent: every field as HTML's "constructing the entry list" meets it.

Source: HTML standard, 4.10.21.4; for what a submit button overrides, 4.10.21.3.
"""

import re
from dataclasses import replace
from html import unescape
from math import log2

from tasks.discovery.engine.page import Control, Form, Method
from tasks.discovery.engine.schema import is_token_name
from tasks.discovery.engine.site import FormSelectors, Snapshot
from tasks.discovery.tool import FormCall, FormField

DEFAULT_ENCTYPE = "application/x-www-form-urlencoded"
_ENCTYPES = frozenset({DEFAULT_ENCTYPE, "multipart/form-data", "text/plain"})
_MAX_VALUE_CHARS = 20_000
_METHOD_FIELD = re.compile(r"_method|_http_method|x-http-method-override", re.IGNORECASE)
# A hash or a signature: long, of letters and digits, without words.
_RANDOM_CHARS = 20
_RANDOM_BITS = 3.2
_META = re.compile(r"<meta\b[^>]{0,2000}>", re.IGNORECASE)


def sent_by(form: Form, submit: Control | None) -> Form:
    """Return the form with what its button overrides."""
    if submit is None:
        return form
    method = {"get": Method.GET, "post": Method.POST, "dialog": Method.DIALOG}.get(submit.form_method)
    return replace(
        form,
        action=submit.form_action or form.action,
        method=method or form.method,
        enctype=_enctype(submit.form_enctype) if submit.form_enctype else form.enctype,
    )


def method_of(form: Form) -> str:
    """Return the method that the site acts on: HTTP's, or what a hidden field says in its place."""
    for control in form.controls:
        if control.type == "hidden" and _METHOD_FIELD.fullmatch(control.name) and control.value.isalpha():
            return control.value.upper()
    return form.method.upper()


def meta_tokens(html: str) -> frozenset[str]:
    """Return the tokens against forgery that the ``meta`` elements of a page hold, for scripts mostly."""
    found = set()
    for tag in _META.findall(html):
        content = re.search(r"""content\s*=\s*["']?([^"'>\s]{8,})""", tag, re.IGNORECASE)
        if content and re.search(r"csrf|xsrf|request-?verification|authenticity", tag, re.IGNORECASE):
            found.add(unescape(content[1]))
    return frozenset(found)


def is_token(control: Control, *, known: frozenset[str] = frozenset()) -> bool:
    """Whether a hidden value changes with every load: one against forgery, or one that looks drawn by lot.

    ``known`` are tokens that the pages hold elsewhere, too.
    """
    if control.type != "hidden" or not control.name:
        return False
    return is_token_name(control.name) or control.value in known or looks_random(control.value)


def form_call(
    form: Form,
    *,
    submit: Control | None,
    inputs: dict[int, str],
    snapshot: Snapshot,
    selectors: FormSelectors,
    tokens: frozenset[str] = frozenset(),
) -> FormCall:
    """Return how ``form`` is sent by ``submit``.

    Args:
        inputs: the input of controls by their place in the form.
        tokens: values that are read anew wherever they stand.
    """
    form = sent_by(form, submit)
    found = [*selectors.controls, *[()] * (len(form.controls) - len(selectors.controls))]
    fields = tuple(
        _field(control, input_name=inputs.get(at, ""), selectors=found[at], tokens=tokens)
        for at, control in enumerate(form.controls)
        if control is submit or not control.is_button
    )
    at_submit = next((at for at, control in enumerate(form.controls) if control is submit), None)
    return FormCall(
        page_url=snapshot.page.url,
        url=form.action,
        method=form.method.upper(),
        enctype=form.enctype,
        charset=form.charset or snapshot.charset,
        fields=fields,
        submit_name=submit.name if submit else "",
        submit_value=_value_of(submit) if submit else "",
        selectors=selectors.form,
        submit_selectors=found[at_submit] if at_submit is not None else (),
        frame_url=selectors.frame_url,
        needs_page=any(field.is_token for field in fields),
    )


def _field(control: Control, *, input_name: str, selectors: tuple[str, ...], tokens: frozenset[str]) -> FormField:
    token = is_token(control, known=tokens)
    enabled = tuple(option.value for option in control.options if not option.is_disabled)
    is_select = control.type in ("select-one", "select-multiple")
    return FormField(
        name=control.name,
        type=control.type,
        input=input_name,
        # What is read anew or is secret is not kept.
        value="" if token or control.type in ("password", "file") else _value_of(control),
        is_checked=control.is_checked,
        is_token=token,
        is_disabled=control.is_disabled,
        options=enabled if is_select else (),
        chosen=_chosen(control) if control.type == "select-multiple" else (),
        dirname=control.direction_name,
        selectors=selectors,
    )


def _value_of(control: Control) -> str:
    if control.type == "select-one":
        chosen = _chosen(control)
        # A list that shows one choice has always chosen one: the first, where nothing says another.
        enabled = [option.value for option in control.options if not option.is_disabled]
        return chosen[-1] if chosen else enabled[0] if enabled else ""
    return control.value[:_MAX_VALUE_CHARS]


def _chosen(control: Control) -> tuple[str, ...]:
    return tuple(option.value for option in control.options if option.is_selected and not option.is_disabled)


def _enctype(text: str) -> str:
    return text if text in _ENCTYPES else DEFAULT_ENCTYPE


def looks_random(value: str) -> bool:
    """Whether a text looks drawn by lot: long, of letters and digits, and of no words."""
    if len(value) < _RANDOM_CHARS or not re.fullmatch(r"[\w+/=.:|%-]+", value):
        return False
    has_both = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
    shares = [value.count(sign) / len(value) for sign in set(value)]
    return bool(has_both) and -sum(share * log2(share) for share in shares) > _RANDOM_BITS and not _WORDS.search(value)


# Addresses, file names and dates are long, too, but made of words.
_WORDS = re.compile(r"[a-z]{6,}[/._-]|https?:|%2F|\d{4}-\d{2}-\d{2}", re.IGNORECASE)
