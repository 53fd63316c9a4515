"""Tools from forms: one for each distinct form of a site, and each of its buttons that does something else."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from tasks.discovery.engine.effects import effect_of, gravest, is_idempotent
from tasks.discovery.engine.form_types import Guess, form_type
from tasks.discovery.engine.lexicon import field_concepts
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.page import Control, Form, Method
from tasks.discovery.engine.schema import fillable, input_schema, tool_name
from tasks.discovery.engine.site import FormSelectors, Site
from tasks.discovery.engine.sources.form_calls import form_call, is_token, meta_tokens, method_of, sent_by
from tasks.discovery.engine.sources.form_examples import examples_of
from tasks.discovery.engine.sources.form_items import Item, as_choice, differing
from tasks.discovery.engine.sources.form_of_item import of_any_item
from tasks.discovery.engine.sources.form_same import Met, names_act, same_forms
from tasks.discovery.engine.sources.form_words import description_of, query_field, title_of
from tasks.discovery.engine.sources.page_words import words_of_site
from tasks.discovery.engine.sources.search_boxes import find_search_boxes
from tasks.discovery.engine.sources.templates import templates
from tasks.discovery.tool import Source, Tool

# Of one form; the rest are variants of the same.
MAX_BUTTONS = 6
MAX_TOOLS = 200
_TRAPS = frozenset({"text", "email", "url", "tel", "textarea"})


def find_tools(site: Site) -> list[Tool]:
    """Return the tools that the forms of the site's pages make, in the order in which they are met."""
    maker = _Maker(site)
    for group in same_forms(_met(site), snapshots=site.snapshots):
        maker.add(group)
    maker.tools += find_search_boxes(site, words=maker.words, names=maker.names)
    of_one = [one for one in templates(site.origin, [snapshot.page for snapshot in site.snapshots]) if one.is_clear]
    return [of_any_item(tool, of_one, names=maker.names) for tool in maker.tools[:MAX_TOOLS]]


def _met(site: Site) -> Iterator[Met]:
    for snapshot in site.snapshots:
        selectors = [*snapshot.selectors, *[FormSelectors()] * len(snapshot.page.forms)]
        for form, how in zip(snapshot.page.forms, selectors, strict=False):
            if form.method is not Method.DIALOG or any(button.form_method for button in form.buttons):
                yield Met(form, snapshot, how)


class _Maker:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.tools: list[Tool] = []
        self.names = Names()
        self.tokens = frozenset(token for snapshot in site.snapshots for token in meta_tokens(snapshot.html))
        self.words = words_of_site([snapshot.page for snapshot in site.snapshots])

    def add(self, group: list[Met]) -> None:
        """Make the tools of one form from its appearances."""
        form = group[0].form
        kind = form_type(form)
        submits = distinct_submits(form)
        for at, submit in enumerate(submits or [None]):
            sent = sent_by(form, submit)
            has_target = sent.action.startswith(("http://", "https://")) and sent.method is not Method.DIALOG
            if has_target and _does_something(sent):
                self.tools.append(self._tool(group, kind, submit=submit, is_variant=at > 0))

    def _tool(self, group: list[Met], kind: Guess, *, submit: Control | None, is_variant: bool) -> Tool:
        first = group[0]
        form, page = first.form, first.snapshot.page
        offered, inputs = _offered(form)
        schema = input_schema(offered)
        items = differing([Item(one.form, one.snapshot.page) for one in group], tokens=self.tokens)
        for at, choice in items.items():
            inputs[at] = form.controls[at].name
            as_choice(schema, form.controls[at].name, choice)
        call = form_call(
            form,
            submit=submit,
            inputs=inputs,
            snapshot=first.snapshot,
            selectors=first.selectors,
            tokens=self.tokens,
        )
        list_path = urlsplit(page.url).path if first.is_own else ""
        title = title_of(
            form, type_name=kind.name, submit=submit, is_of_item=bool(items), list_path=list_path, page=page
        )
        if is_variant and submit and submit.caption and submit.caption.casefold() not in title.casefold():
            title = f"{title}: {submit.caption[:60]}"
        method = method_of(sent_by(form, submit))
        effect = gravest(
            effect_of(method, *words)
            for words in (_words_of_effect(form, kind=kind, submit=submit), *_choices_of_effect(form))
        )
        return Tool(
            name=self.names.take(tool_name(title, fallback=kind.name.partition("/")[0])),
            title=title[:200],
            description=description_of(sent_by(form, submit), title=title, page=page, submit=submit),
            site=self.site.origin,
            found_on=page.url,
            source=Source.FORM,
            purpose=kind.name,
            effect=effect,
            is_idempotent=is_idempotent(method, effect),
            call=call,
            input_schema=schema,
            prior=kind.probability,
            evidence=_evidence(group, kind, call_url=call.url, origin=self.site.origin, has_token=call.needs_page),
            examples=examples_of(
                offered, schema=schema, words=self.words.on(page), query=_query_name(offered, kind), inputs=inputs
            ),
        )


def distinct_submits(form: Form) -> list[Control | None]:
    """Return the buttons that send the form, those left out that send the very same; the default button first."""
    found: dict[object, Control | None] = {}
    for button in form.buttons:
        if button.is_submit and not button.is_disabled:
            what = (button.name, button.value if button.name else "", button.type == "image" and button.name)
            where = (button.form_action, button.form_method, button.form_enctype)
            found.setdefault((what, where), button)
    return list(found.values())[:MAX_BUTTONS]


def _does_something(form: Form) -> bool:
    """Whether sending it is more than following a link: a token says nothing."""
    said = (control for control in form.controls if control.name and not control.is_button)
    return form.method is Method.POST or any(not is_token(control) for control in said)


def _offered(form: Form) -> tuple[Form, dict[int, str]]:
    """Return the form with what no caller should set turned off, and the inputs by the place of their controls."""
    has_visible = any(control.is_visible for control in form.fields)
    controls = tuple(
        replace(control, is_disabled=True)
        if has_visible and not control.is_visible and _is_trap(control, form.method)
        else control
        for control in form.controls
    )
    offered = replace(form, controls=controls)
    names = {id(control): name for name, group in fillable(offered).items() for control in group}
    return offered, {at: names[id(control)] for at, control in enumerate(controls) if id(control) in names}


def _is_trap(control: Control, method: Method) -> bool:
    """Whether a field out of sight is there for robots: it must be left as it is, or the site refuses.

    Fields of a search are often folded away; of a form that is posted they rarely are.
    """
    if control.type not in _TRAPS or control.value or control.is_required or control.is_of_widget:
        return False
    says = f"{control.name} {control.id} {control.label} {control.text_before} {' '.join(control.class_tokens)}"
    return method is Method.POST or "honeypot" in field_concepts(says)


def _query_name(form: Form, kind: Guess) -> str:
    control = query_field(form) if kind.name == "search" else None
    return control.name if control is not None and not control.is_disabled else ""


def _words_of_effect(form: Form, *, kind: Guess, submit: Control | None) -> list[str]:
    """Return what the site calls it: caption and address; a heading only where something is sent for good."""
    fixed = [
        f"{control.name} {control.value}"
        for control in form.controls
        if control.type == "hidden" and len(control.value) <= 40 and not is_token(control)
    ]
    words = [submit.caption if submit else "", submit.name if submit else "", form.label]
    words += [sent_by(form, submit).action.partition("://")[2].partition("/")[2].partition("?")[0], *fixed]
    if form.method is Method.POST and kind.name != "search":
        words.append(form.heading)
    return words


def _choices_of_effect(form: Form) -> Iterator[tuple[str, str]]:
    """Yield what each choice of what is to be done is called: a form that can delete is one that deletes."""
    for control in form.controls:
        if control.options and names_act(control):
            yield from ((option.label, option.value) for option in control.options if not option.is_disabled)


def _evidence(group: list[Met], kind: Guess, *, call_url: str, origin: str, has_token: bool) -> tuple[str, ...]:
    found = [f"The form looks like {kind.name} ({kind.probability:.2f})."]
    pages = {one.snapshot.page.url for one in group}
    if len(pages) > 1:
        found.append(f"The same form is on {len(pages)} pages.")
    if not call_url.startswith(f"{origin}/"):
        found.append("It sends to another site.")
    if has_token:
        found.append("It has a token that is read anew before each run.")
    if not any(control.is_visible for control in group[0].form.controls):
        found.append("It is out of sight until something opens it.")
    return tuple(found)
