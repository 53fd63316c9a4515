"""What a form is for, and what each of its fields asks, with probabilities. No language model.

The classes are those of the Formasaurus annotations; the rare ones (polls, display options, navigation, bare captchas)
count as ``other``. Weights: ``form_types.json`` and ``field_kinds.json``, made by ``python -m bench.forms --fit``.
"""

from dataclasses import dataclass
from functools import cache

from tasks.discovery.engine.form_features import field_features, form_features
from tasks.discovery.engine.linear_model import LinearModel, load_model
from tasks.discovery.engine.page import Form

FORM_TYPES = (
    "contact/comment",
    "join mailing list",
    "login",
    "order/add to cart",
    "other",
    "password/login recovery",
    "registration",
    "search",
)


@dataclass(frozen=True, slots=True)
class Guess:
    """The likeliest class with its probability, and those of all classes (they sum to 1)."""

    name: str
    probability: float
    probabilities: dict[str, float]


def form_type(form: Form, *, model: LinearModel | None = None) -> Guess:
    """Return the type of a form, one of ``FORM_TYPES``; ``model`` replaces the shipped one."""
    return _guesses(model or _form_model(), [form_features(form)])[0]


def field_kinds(form: Form, *, type_name: str, model: LinearModel | None = None) -> list[Guess | None]:
    """Return the kind of each control of ``form.controls``; None for hidden ones. ``type_name`` is the form's type."""
    shown = [index for index, control in enumerate(form.controls) if control.type != "hidden"]
    rows = [field_features(form, index, form_type=type_name) for index in shown]
    kinds: list[Guess | None] = [None] * len(form.controls)
    for index, guess in zip(shown, _guesses(model or _field_model(), rows), strict=True):
        kinds[index] = guess
    return kinds


def _guesses(model: LinearModel, rows: list[set[str]]) -> list[Guess]:
    guesses = []
    for row in model.probabilities(rows):
        best = int(row.argmax())
        by_name = dict(zip(model.classes, map(float, row), strict=True))
        guesses.append(Guess(name=model.classes[best], probability=float(row[best]), probabilities=by_name))
    return guesses


@cache
def _form_model() -> LinearModel:
    return load_model("form_types")


@cache
def _field_model() -> LinearModel:
    return load_model("field_kinds")
