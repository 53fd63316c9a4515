"""Chromium's own compiler of forms to schemas beside ours, and why they differ where they do."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tasks.core.browser import Visit, WarmBrowser
from tasks.discovery.engine.page import Control, Form
from tasks.discovery.engine.schema import fillable, input_schema
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tests.discovery.live.spelled_schema import Schema, bare, plain, spelled_otherwise, titles, without_date_note

# By way of the prototypes: a form's own controls may have taken these names.
DECLARE = """() => Array.from(Document.prototype.querySelectorAll.call(document, "form")).forEach((form, at) => {
    Element.prototype.setAttribute.call(form, "toolname", `form-${at}`);
    Element.prototype.setAttribute.call(form, "tooldescription", "A form");
})"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One property that is not the same; ``reason`` is empty where nothing on the list explains it."""

    name: str
    theirs: Schema
    ours: Schema
    reason: str


@dataclass(slots=True)
class Comparison:
    """What came of comparing forms.

    Attributes:
        identical: properties that are the same to the letter.
        spelled: how many properties are written otherwise for each reason, though they mean the same.
        differences: properties that do not mean the same.
    """

    properties: int = 0
    identical: int = 0
    spelled: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        reasons = Counter(one.reason or "UNEXPLAINED" for one in self.differences)
        lines = [f"{self.properties} properties, {self.identical} identical, {len(self.differences)} differ"]
        lines += [f"  differ  {times:4} {reason}" for reason, times in reasons.most_common()]
        lines += [f"  spelled {times:4} {reason}" for reason, times in self.spelled.most_common()]
        return "\n".join(lines)

    @property
    def share(self) -> float:
        """The share of properties that are the same."""
        return 1 - len(self.differences) / self.properties

    @property
    def unexplained(self) -> list[Difference]:
        """Those that are on no list."""
        return [one for one in self.differences if not one.reason]


async def declared_snapshot(visit: Visit, url: str) -> Snapshot:
    """Return a snapshot of a page whose forms all declare themselves."""
    page = await visit.context.new_page()
    await visit.open(page, url)
    await page.evaluate(DECLARE)
    snapshot = await take_snapshot(page)
    await page.close()
    return snapshot


def snapshots(browser: WarmBrowser, urls: list[str], *, timeout_s: float = 200) -> list[Snapshot]:
    """Return one for each address."""

    async def work(visit: Visit) -> list[Snapshot]:
        return [await declared_snapshot(visit, url) for url in urls]

    return browser.run(work, timeout_s=timeout_s)


def compare(found: list[Snapshot]) -> Comparison:
    """Compare the schemas of all forms that Chromium compiled."""
    comparison = Comparison()
    for snapshot in found:
        theirs = {tool.name: tool.input_schema for tool in snapshot.declared if not tool.is_imperative}
        for at, form in enumerate(snapshot.page.forms):
            if (compiled := theirs.get(f"form-{at}")) is not None:
                _compare_forms(comparison, compiled, form)
    return comparison


def _compare_forms(comparison: Comparison, compiled: Schema, form: Form) -> None:
    theirs, ours = compiled.get("properties", {}), input_schema(form)["properties"]
    for name in dict.fromkeys([*theirs, *ours]):
        comparison.properties += 1
        difference = _difference(name, compiled, form)
        first, second = theirs.get(name), ours.get(name)
        spelled = {} if first is None or second is None else spelled_otherwise(first, second)
        if difference is None and not all(spelled.values()):
            # It may mean the same, but nothing says why it is written otherwise.
            difference = Difference(name, first or {}, second or {}, "")
        comparison.identical += difference is None and not spelled
        comparison.spelled.update({why for why in spelled.values() if why})
        comparison.differences += [difference] if difference else []


def _difference(name: str, compiled: Schema, form: Form) -> Difference | None:
    ours = input_schema(form)
    theirs_one, ours_one = compiled["properties"].get(name), ours["properties"].get(name)
    if theirs_one is None or ours_one is None:
        reason = _reason_of_one(name, form, is_ours=theirs_one is None)
        return Difference(name, theirs_one or {}, ours_one or {}, reason)
    first = _canonical(theirs_one) | {"required": name in compiled.get("required", ())}
    second = _canonical(ours_one) | {"required": name in ours.get("required", ())}
    different = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    different -= set(_says_more(first, second))
    if not different:
        return None
    controls = fillable(form).get(name, ())
    reasons = [_reason(key, first, second, controls) for key in sorted(different)]
    return Difference(name, first, second, "; ".join(reasons) if all(reasons) else "")


def _canonical(schema: Schema) -> Schema:
    """Return what both can say, in one spelling. What only ours says (lengths, defaults, formats …) is left out."""
    found: Schema = {"type": schema["type"]}
    for key in ("minimum", "maximum", "multipleOf", "uniqueItems"):
        if key in schema:
            found[key] = schema[key]
    if schema["type"] == "integer":
        found |= {"type": "number", "multipleOf": schema.get("multipleOf", 1)}
    if "items" in schema:
        found["items"] = _canonical(schema["items"])
    if "enum" in schema:
        # The same values are accepted, however often each is named.
        found["enum"] = list(dict.fromkeys(schema["enum"]))
        found["titles"] = titles(schema)
    if schema.get("format") == "date":
        found["format"] = "date"
    if str(schema.get("format", "")).startswith("^") or schema.get("x-control") in _SHAPED:
        found["shape"] = True
    elif "pattern" in schema:
        found["pattern"] = bare(schema["pattern"])
    if description := " ".join(without_date_note(schema.get("description", "")).split()):
        found["description"] = description
    return found


_SHAPED = frozenset({"color", "month", "week", "time", "datetime-local"})


def _says_more(theirs: Schema, ours: Schema) -> Iterator[str]:
    """Yield the keys in which ours says what theirs says, and more."""
    if plain(ours.get("description", "")).startswith(plain(theirs.get("description", ""))):
        yield "description"
    titles = theirs.get("titles", {}), ours.get("titles", {})
    if all(plain(title) in plain(titles[1].get(value, "")) for value, title in titles[0].items() if value in titles[1]):
        yield "titles"
    if "items" in theirs and "items" in ours:
        first, second = theirs["items"], ours["items"]
        different = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
        if different <= set(_says_more(first, second)):
            yield "items"


def _reason_of_one(name: str, form: Form, *, is_ours: bool) -> str:
    controls = [control for control in form.controls if control.name == name and not control.is_button]
    if is_ours and any(control.type == "file" for control in controls):
        return "files are marked here and left out there"
    if is_ours and any(control.type == "hidden" and control.is_of_widget for control in controls):
        return "hidden fields that a widget fills in are inputs here and left out there"
    if is_ours and len(controls) > 1:
        return "names that several controls share are arrays here and left out there"
    if not is_ours and not name:
        return "controls without a name are left out here"
    if not is_ours and name not in fillable(form) and controls:
        return "tokens against forgery are left out here"
    return ""


def _reason(key: str, theirs: Schema, ours: Schema, controls: tuple[Control, ...]) -> str:
    rule = _RULES.get(key)
    return rule(theirs, ours, controls) if rule else ""


def _of_choices(theirs: Schema, ours: Schema, controls: tuple[Control, ...]) -> str:
    theirs, ours = theirs.get("items", theirs), ours.get("items", ours)
    if theirs.get("enum") == [] and "enum" not in ours and not any(control.options for control in controls):
        return "choices that only a script brings are open here, none there"
    values = theirs.get("enum", [])
    off = {option.value for control in controls for option in control.options if option.is_disabled}
    on = {option.value for control in controls for option in control.options if not option.is_disabled}
    prompts = {control.options[0].value for control in controls if control.options and control.is_required}
    left_out = [value for value in values if value not in ours.get("enum", ())]
    if [value for value in values if value not in left_out] != ours.get("enum", []):
        return ""
    if all(value in off - on for value in left_out):
        return "disabled options are no choices here"
    return "the empty prompt of a required choice is no choice here" if set(left_out) <= prompts & {""} else ""


def _of_type(theirs: Schema, ours: Schema, controls: tuple[Control, ...]) -> str:
    is_emails = any(control.type == "email" and control.is_multiple for control in controls)
    return "several addresses are an array here and one string there" if is_emails else ""


def _of_titles(theirs: Schema, ours: Schema, controls: tuple[Control, ...]) -> str:
    """Explain another title by the option's label attribute; a title of another option is a mistake of ours."""
    shown = {option.value: option.label for control in controls for option in control.options}
    first, second = theirs.get("titles", {}), ours.get("titles", {})
    if not first and not second:
        return _of_choices(theirs, ours, controls)
    other = {value: title for value, title in first.items() if plain(title) not in plain(second.get(value, ""))}
    is_label = other and all(second.get(value) == shown.get(value) for value in other)
    is_mixed_up = any(title in shown.values() for title in other.values())
    return "options are called by their label here, by their text there" if is_label and not is_mixed_up else ""


def _of_step(theirs: Schema, ours: Schema, controls: tuple[Control, ...]) -> str:
    counts_apart = any(control.step not in ("", "1") and control.min not in ("", "0") for control in controls)
    if counts_apart and "multipleOf" not in theirs and ours.get("multipleOf") == 1:
        return "steps of whole numbers from another whole number are whole here, any number there"
    is_any = any(control.type == "range" and control.step.lower() == "any" for control in controls)
    return "a range of any step is whole there" if is_any and theirs.get("multipleOf") == 1 else ""


_RULES: dict[str, Callable[[Schema, Schema, tuple[Control, ...]], str]] = {
    "enum": _of_choices,
    "titles": _of_titles,
    "items": lambda theirs, ours, controls: (
        _of_choices(theirs, ours, controls) if "items" in theirs else _of_type(theirs, ours, controls)
    ),
    "type": _of_type,
    "multipleOf": _of_step,
}
