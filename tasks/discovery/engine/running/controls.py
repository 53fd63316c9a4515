"""Setting the controls of a form in a page, and sending it, with the events that a person causes."""

from collections import Counter

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import FilePayload, Frame, Locator

from tasks.core.errors import InputRejected, Permanent
from tasks.discovery.engine.running.filling import Filled
from tasks.discovery.engine.running.page_steps import Diary, css_string, find, step
from tasks.discovery.tool import FormCall, FormField

# A click waits until nothing lies over the button; a banner that stays there is gone around.
_CLICK_LIMIT_S = 3.0

# For controls that a widget hides and fills in: what the widget would do.
_SET_VALUE = """(element, value) => {
  const owner = element instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(owner.prototype, 'value').set.call(element, value);
  element.dispatchEvent(new Event('input', {bubbles: true}));
  element.dispatchEvent(new Event('change', {bubbles: true}));
}"""
_CHOOSE = """(element, values) => {
  const left = [...values];
  for (const option of element.options) {
    const at = left.indexOf(option.value);
    option.selected = at >= 0;
    if (at >= 0) left.splice(at, 1);
  }
  element.dispatchEvent(new Event('input', {bubbles: true}));
  element.dispatchEvent(new Event('change', {bubbles: true}));
  return left;
}"""
_CHECK = "(element, on) => { if (element.checked !== on) element.click(); }"
_INVALID = """(element) => {
  const form = element.form || element.closest('form');
  if (!form || form.noValidate || element.formNoValidate) return [];
  return [...form.elements].filter((one) => one.willValidate && !one.checkValidity())
    .slice(0, 5).map((one) => [one.name || one.id || one.type, one.validationMessage]);
}"""
_SEND = "(element) => { const form = element.form || element.closest('form'); form.requestSubmit(); }"


async def set_controls(frame: Frame, filled: list[Filled], *, diary: Diary) -> None:
    """Set each control that the caller set.

    Raises:
        Permanent: one is not on the page.
        Transient: one could not be set; names it.
    """
    seen: Counter[str] = Counter()
    for control in filled:
        field = control.field
        by_name = _by_name(field)
        if control.is_set and not (field.type == "radio" and not control.is_on):
            name = f"fill {field.name!r}"
            element = await find(frame, _selectors(field), name=name, diary=diary, at=seen[by_name])
            async with step(name):
                await _set(element, control)
        seen[by_name] += 1


async def press(frame: Frame, call: FormCall, *, diary: Diary) -> None:
    """Send the form by its button, or without one as the Enter key would.

    Raises:
        InputRejected: the page's own checks refuse what was filled in.
        Permanent: the form or its button is not on the page.
        Transient: it could not be pressed.
    """
    button = next((field for field in call.fields if _is_submitter(field, call)), None)
    selectors = [*call.submit_selectors, *(_selectors(button) if button else ())]
    if not selectors and call.submit_name:
        selectors = [f"[name={css_string(call.submit_name)}]"]
    if not selectors:
        await _send_without_button(frame, call, diary=diary)
        return
    element = await find(frame, selectors, name="submit", diary=diary)
    await _check_validity(element)
    async with step("submit"):
        if button is not None and button.type == "image":
            # With the keyboard it is pressed at its corner, always the same.
            await element.focus()
            await element.press("Enter")
        else:
            await _click(element)


def _is_submitter(field: FormField, call: FormCall) -> bool:
    is_button = field.type in ("submit", "image")
    return is_button and (field.name, field.value) == (call.submit_name, call.submit_value)


async def _send_without_button(frame: Frame, call: FormCall, *, diary: Diary) -> None:
    first = next((field for field in call.fields if field.type not in ("submit", "image")), None)
    selectors = list(call.selectors) or (_selectors(first) if first else [])
    element = await find(frame, selectors, name="submit", diary=diary)
    if call.selectors:
        await _check_validity(element)
    async with step("submit"):
        await element.evaluate(_SEND)


async def _click(element: Locator) -> None:
    try:
        await element.click(timeout=_CLICK_LIMIT_S * 1000, no_wait_after=True)
    except PlaywrightError:
        await element.evaluate("(element) => element.click()")


async def _check_validity(element: Locator) -> None:
    async with step("submit"):
        invalid = await element.evaluate(_INVALID)
    if invalid:
        told = "; ".join(f"{name}: {message}" for name, message in invalid)
        raise InputRejected(f"The page's own checks refuse what was filled in: {told[:400]}", field=invalid[0][0])


async def _set(element: Locator, control: Filled) -> None:
    match control.field.type:
        case "checkbox" | "radio":
            await element.evaluate(_CHECK, control.is_on)
        case "select-one":
            await _choose(element, [control.text])
        case "select-multiple":
            await _choose(element, list(control.chosen))
        case "file":
            await element.set_input_files(
                [FilePayload(name=part.name, mimeType=part.media_type, buffer=part.content) for part in control.files]
            )
        case _ if await element.is_visible() and await element.is_editable():
            await element.fill(control.text)
        case _:
            await element.evaluate(_SET_VALUE, control.text)


async def _choose(element: Locator, values: list[str]) -> None:
    if await element.is_visible():
        await element.focus()
    left = await element.evaluate(_CHOOSE, values)
    if left:
        raise Permanent(f"choose: the page no longer offers {left[0][:80]!r}. Discover it again.")


def _selectors(field: FormField) -> list[str]:
    """Return the field's selectors, and last its name."""
    by_name = _by_name(field)
    return [*field.selectors, *([by_name] if by_name else ())]


def _by_name(field: FormField) -> str:
    if not field.name:
        return ""
    by_name = f"[name={css_string(field.name)}]"
    if field.type in ("checkbox", "radio"):
        return by_name + (f"[value={css_string(field.value)}]" if field.value != "on" else f"[type={field.type}]")
    if field.type in ("submit", "image") and field.value:
        return by_name + f"[value={css_string(field.value)}]"
    if field.type == "hidden":
        return f"{by_name}[type=hidden]"
    # A button or a hidden field may have the same name.
    return f"{by_name}:not([type=submit], [type=image], [type=hidden], button)"
