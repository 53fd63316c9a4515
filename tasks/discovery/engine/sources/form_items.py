"""Forms that stand once beside each item of a list: the hidden value that tells them apart becomes an input."""

from dataclasses import dataclass

from tasks.discovery.engine.page import Form, Page
from tasks.discovery.engine.schema import MAX_DESCRIPTION_CHARS, MAX_EXAMPLES
from tasks.discovery.engine.sources.form_calls import is_token
from tasks.discovery.engine.sources.form_same import says_act
from tasks.discovery.tool import JSONSchema

_MAX_VALUE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Item:
    """One appearance of a form."""

    form: Form
    page: Page


def differing(items: list[Item], *, tokens: frozenset[str] = frozenset()) -> dict[int, dict[str, str]]:
    """Return the places of hidden fields that differ between appearances, with the values and what each stands for."""
    first = items[0].form
    alike = [item for item in items if len(item.form.controls) == len(first.controls)]
    found = {}
    for at, control in enumerate(first.controls):
        if control.type != "hidden" or not control.name or is_token(control, known=tokens) or says_act(control):
            continue
        titles: dict[str, str] = {}
        for item in alike:
            titles.setdefault(item.form.controls[at].value, _title_of(item, items))
        if len(titles) > 1 and all(map(_names_an_item, titles)):
            found[at] = titles
    return found


def as_choice(schema: JSONSchema, name: str, titles: dict[str, str]) -> None:
    """Add the input ``name`` to ``schema``: one of the values seen, or of those that other pages of the site have."""
    seen = "; ".join(f"{value} ({title[:50]})" if title else value for value, title in titles.items())
    schema["properties"] = {
        name: {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "examples": list(titles)[:MAX_EXAMPLES],
            "description": f"Which one, as the site numbers them. Seen: {seen}"[:MAX_DESCRIPTION_CHARS],
        },
        **schema["properties"],
    }
    schema["required"] = [name, *(other for other in schema.get("required", ()) if other != name)]


def _title_of(item: Item, items: list[Item]) -> str:
    headings = {other.form.heading for other in items}
    return item.form.heading if len(headings) > 1 else item.page.title


def _names_an_item(value: str) -> bool:
    return 0 < len(value) <= _MAX_VALUE_CHARS and not value.startswith(("/", "http:", "https:")) and " " not in value
