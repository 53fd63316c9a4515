"""Tools made from the HTML of a page, for tests of running them."""

from typing import Any

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Control, Form
from tasks.discovery.engine.schema import fillable, input_schema
from tasks.discovery.tool import FormCall, FormField, Source, Tool


def tool_of(html: str, *, url: str, charset: str = "UTF-8", press: str | None = None, **changes: Any) -> Tool:
    """Return a tool for the page's first form, sent by the first button, or by the one whose name is ``press``."""
    form = read_page(html, url=url).forms[0]
    submits = [control for control in form.controls if control.is_submit and not control.is_disabled]
    submit = next((control for control in submits if press in (None, control.name)), None)
    return Tool(
        name="tool",
        site=url.rpartition("/")[0],
        found_on=url,
        source=Source.FORM,
        prior=1,
        call=_call(form, submit, url=url, charset=charset).model_copy(update=changes),
        input_schema=input_schema(form),
    )


def _call(form: Form, submit: Control | None, *, url: str, charset: str) -> FormCall:
    inputs = {id(control): name for name, controls in fillable(form).items() for control in controls}
    return FormCall(
        page_url=url,
        url=(submit and submit.form_action) or form.action,
        method=((submit and submit.form_method) or form.method).upper(),
        enctype=form.enctype,
        charset=charset,
        fields=tuple(
            _field(control, inputs.get(id(control), ""))
            for control in form.controls
            if not control.is_button or control is submit
        ),
        submit_name=submit.name if submit else "",
        submit_value=submit.value if submit else "",
        submit_selectors=(f"#{submit.id}",)
        if submit and submit.id
        else ("[type=submit], button, [type=image]",)
        if submit
        else (),
    )


def _field(control: Control, input_name: str) -> FormField:
    enabled = [option for option in control.options if not option.is_disabled]
    chosen = tuple(option.value for option in enabled if option.is_selected)
    is_select = control.type.startswith("select")
    value = (chosen or tuple(option.value for option in enabled) or ("",))[0] if is_select else control.value
    return FormField(
        name=control.name,
        type=control.type,
        input=input_name,
        value=value,
        is_checked=control.is_checked,
        is_disabled=control.is_disabled,
        is_token="csrf" in control.name,
        options=tuple(option.value for option in enabled) if is_select else (),
        chosen=chosen if control.type == "select-multiple" else (),
        dirname="text.dir" if control.id == "directed" else "",
    )
