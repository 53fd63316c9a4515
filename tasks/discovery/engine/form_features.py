"""What the classifiers look at: counts of control types, and meanings of the words in each part of a form.

No word of a page becomes a feature, only the concepts of ``lexicon``: so the fitted weights hold for sites and
languages that were not among the pages they were fitted on, and carry no text of those pages.
"""

from bisect import bisect
from collections import Counter
from urllib.parse import urlsplit

from tasks.discovery.engine.lexicon import field_concepts, form_concepts
from tasks.discovery.engine.page import Control, Form

_COUNTED = (
    *("text", "search", "email", "tel", "url", "number", "password", "textarea", "checkbox", "radio", "select-one"),
    *("file", "hidden", "submit", "image", "button"),
)
_TYPED = frozenset({"text", "search", "email", "tel", "url", "number", "textarea"})
_CHOSEN = frozenset({"select-one", "select-multiple", "radio", "checkbox"})
_TEXT_CHARS = 600
# Days, months and years are known by how many there are.
_OPTION_BOUNDS = (1, 4, 12, 15, 28, 34, 71)
_OPTION_COUNTS = ("0", "1-3", "4-11", "12-14", "15-27", "28-33", "34-70", "71+")


def form_features(form: Form) -> set[str]:
    """Return the features of a form."""
    counts = Counter(control.type for control in form.controls)
    typed = sum(counts[kind] for kind in _TYPED)
    chosen = sum(counts[kind] for kind in _CHOSEN)
    passwords, areas = min(counts["password"], 2), min(counts["textarea"], 1)
    features = {f"n_{kind}={_size(counts[kind])}" for kind in _COUNTED}
    features |= {
        f"method={form.method}",
        f"n_typed={_size(typed)}",
        f"n_fields={_size(sum(1 for _ in form.fields))}",
        f"shape={min(typed, 3)}.{passwords}.{areas}.{min(chosen, 2)}",
    }
    for part, text in _parts(form).items():
        features |= {f"{part}:{concept}" for concept in form_concepts(text)}
    return features


def field_features(form: Form, position: int, *, form_type: str) -> set[str]:
    """Return the features of the control at ``position`` in ``form.controls``; ``form_type`` is the form's."""
    control = form.controls[position]
    features = {f"type={control.type}", f"form={form_type}", f"type={control.type},form={form_type}"}
    features |= {f"autocomplete={token}" for token in control.autocomplete.split()}
    texts = {
        "name": f"{control.name} {control.id}",
        "label": _spoken(control),
        "after": control.text_after if control.is_checkable else "",
        "caption": control.caption,
        "class": " ".join(control.class_tokens),
        "legend": control.legend,
    }
    for part, text in texts.items():
        found = field_concepts(text)
        features |= {f"{part}:{concept}" for concept in found}
        features |= {f"{control.type},{concept}" for concept in found}
        if part in ("name", "label") and not found:
            features.add(f"{part}:nothing")
    count = len(control.options)
    features.add(f"options={_OPTION_COUNTS[bisect(_OPTION_BOUNDS, count)]}")
    if not control.is_visible and control.type != "hidden":
        features.add("invisible")
    if control.is_readonly:
        features.add("read-only")
    features |= _before_and_after(form, position)
    return features


def _before_and_after(form: Form, position: int) -> set[str]:
    shown = [index for index, control in enumerate(form.controls) if control.type != "hidden"]
    here = shown.index(position) if position in shown else None
    if here is None:
        return set()
    features: set[str] = set()
    for step in (-1, 1):
        if not 0 <= here + step < len(shown):
            features.add(f"{step:+d}edge")
            continue
        neighbour = form.controls[shown[here + step]]
        features.add(f"{step:+d}type={neighbour.type}")
        features |= {f"{step:+d}{concept}" for concept in field_concepts(f"{neighbour.name} {neighbour.label}")}
    earlier = Counter(form.controls[index].type for index in shown[:here])
    features.add(f"earlier_same={min(earlier[form.controls[position].type], 2)}")
    return features


def _parts(form: Form) -> dict[str, str]:
    fields = list(form.fields)
    action = urlsplit(form.action)
    return {
        "button": " ".join(f"{button.caption} {button.title} {button.name}" for button in form.buttons),
        "action": f"{action.path} {action.query}",
        "form": " ".join((form.id, form.name, form.role, form.label, *form.class_tokens)),
        "name": " ".join(f"{control.name} {control.id}" for control in fields),
        "label": " ".join(map(_spoken, fields)),
        "heading": form.heading,
        "text": form.text[:_TEXT_CHARS],
        "link": " ".join(form.link_texts),
        "hidden": " ".join(control.name for control in form.controls if control.type == "hidden"),
        "css": " ".join(token for control in form.controls for token in control.class_tokens),
    }


def _spoken(control: Control) -> str:
    """Return what the page says about a control; where it has no label, the text before it stands in."""
    prompt = control.value if control.type == "text" else ""
    nearby = "" if control.label else control.text_before
    return " ".join((control.label, control.placeholder, control.title, control.legend, nearby, prompt))


def _size(count: int) -> str:
    return str(count) if count < 4 else "4-6" if count < 7 else "7+"
