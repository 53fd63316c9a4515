"""What the inputs of an endpoint are made of, wherever they go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.discovery.engine.api_words import ParameterRole
from tasks.discovery.engine.inference import Schema
from tasks.discovery.engine.page import Option
from tasks.discovery.tool import Slot

# Tables that are filled by scripts send some eight for each of their columns.
MAX_INPUTS = 200
MAX_EXAMPLES = 5
ROLE_WORDS: dict[ParameterRole, str] = {
    "query": "What to search for.",
    "page": "Which page of the list.",
    "offset": "How many items to pass over.",
    "cursor": "Where to go on.",
    "size": "How many items.",
    "sort": "The order of the items.",
}

# Returns the options of a control that offers these values under this name, or none.
Choices = Callable[[str, frozenset[str]], Sequence[Option]]


@dataclass(frozen=True, slots=True)
class Input:
    """One property of the input schema, where it goes, and how the page itself filled it."""

    slot: Slot
    schema: Schema
    example: Any
    is_required: bool
    role: ParameterRole | None = None
    is_typed: bool = False


@dataclass(slots=True)
class Inputs:
    """All of an endpoint's inputs, and the parts that are fixed.

    ``secrets`` are the names of what belongs to a session and was left out. ``body`` is the fixed JSON or fields.
    """

    found: list[Input] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None
    media_type: str = ""
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_typed_text(value: str, typed: str) -> bool:
    """Whether a value holds what was being typed, or its beginning: a script may ask at each letter."""
    said = value.strip().strip("*%\"'").lower()
    return said == typed or typed in said.split() or (len(said) > 1 and typed.startswith(said))


def enumeration(options: Sequence[Option], seen: Sequence[str]) -> Schema:
    """Return the schema of a value that is one of a control's options; an empty one only if it was seen."""
    titles = {option.value: option.label for option in options if option.value or "" in seen}
    schema: Schema = {"type": "string", "enum": list(titles)}
    if any(titles.values()):
        schema["oneOf"] = [
            {"const": value, "title": title} if title else {"const": value} for value, title in titles.items()
        ]
    return schema
