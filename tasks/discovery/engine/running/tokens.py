"""Values that change with every load of a page, read anew from it: tokens against forgery and the like."""

from collections import Counter

from tasks.core.errors import Permanent
from tasks.discovery.engine.page import Control, Form, Page
from tasks.discovery.tool import FormCall, FormField


def refreshed(call: FormCall, page: Page) -> FormCall:
    """Return ``call`` with its tokens as ``page`` has them.

    Raises:
        Permanent: the page has no such form, or not those tokens.
    """
    form = find_form(call, page)
    if form is None:
        raise Permanent("The page no longer has the form: discover the site again.")
    seen: Counter[tuple[str, str]] = Counter()
    fields = []
    for field in call.fields:
        key = (field.name, field.type)
        value = _value_of(field, form, at=seen[key]) if field.is_token else field.value
        seen[key] += 1
        fields.append(field.model_copy(update={"value": value}))
    return call.model_copy(update={"fields": tuple(fields)})


def find_form(call: FormCall, page: Page) -> Form | None:
    """Return the form of ``page`` that ``call`` was made from: the one that shares most names, then the address."""
    wanted = {field.name for field in call.fields if field.name}

    def likeness(form: Form) -> tuple[int, bool, int]:
        names = {control.name for control in form.controls if control.name}
        return len(wanted & names), form.action.partition("?")[0] == call.url.partition("?")[0], -len(names - wanted)

    best = max(page.forms, key=likeness, default=None)
    if best is None or (wanted and 2 * likeness(best)[0] < len(wanted)):
        return None
    return best


def same_controls(field: FormField, form: Form) -> list[Control]:
    """Return the controls of ``form`` with the field's name and type, in order."""
    return [control for control in form.controls if (control.name, control.type) == (field.name, field.type)]


def _value_of(field: FormField, form: Form, *, at: int) -> str:
    controls = same_controls(field, form)
    if at >= len(controls):
        raise Permanent(f"The form no longer has the token {field.name[:60]!r}: discover the site again.")
    return controls[at].value
