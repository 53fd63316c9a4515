"""What a caller of an operation sets: one property per parameter and per member of the body, and where each goes."""

import re
from dataclasses import dataclass, field
from typing import Any

from tasks.discovery.engine.sources.openapi.form_encoding import Encoding
from tasks.discovery.engine.sources.openapi.operations import Body, Operation, Parameter, is_sendable
from tasks.discovery.engine.sources.openapi.specification import Specification, list_of, object_of
from tasks.discovery.engine.sources.schema_keywords import MAX_TEXT_CHARS, is_small
from tasks.discovery.engine.sources.schemas import Part, Schemas
from tasks.discovery.tool import JSONSchema, Place, Slot

MAX_MEMBERS = 100
_MAX_NESTED = 4

# A body schema with nothing else is a plain object, whose members can be inputs of their own.
_PLAIN = frozenset(
    {
        *("type", "properties", "required", "title", "description", "example", "examples", "additionalProperties"),
        *("allOf", "xml", "externalDocs", "deprecated", "default", "$schema", "$id", "$comment", "nullable"),
    }
)
_SECRET = re.compile(
    r"(?:x[-_])?(?:api[-_]?key|(?:access|auth|api|csrf|xsrf|session|bearer)[-_]?token|client[-_]?secret|app[-_]?key|"
    r"subscription[-_]key|session[-_]?id|authorization)",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(?:(?:new|old|current|confirm)[-_]?)?pass(?:word|wd|phrase)[-_0-9]{0,3}", re.IGNORECASE)


class NotCallable(Exception):
    """An operation needs what no caller can give."""


@dataclass(slots=True)
class Inputs:
    """The inputs of one operation. ``credentials`` are the names of parameters that hold a secret, and stay out."""

    schema: JSONSchema = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    body: Any = None
    media_type: str = ""
    example: dict[str, Any] | None = None
    credentials: list[str] = field(default_factory=list)


class InputReader:
    """Reads the inputs of the operations of one specification; ``secrets`` are places and names of its credentials."""

    def __init__(self, spec: Specification, schemas: Schemas, *, secrets: frozenset[tuple[Place, str]]) -> None:
        self._spec = spec
        self._schemas = schemas
        self._secrets = secrets

    def inputs(self, operation: Operation) -> Inputs:
        """Return the inputs of an operation.

        Raises:
            NotCallable: it requires a header that no caller may set.
        """
        collected = _Collected(self._schemas)
        for parameter in [*operation.parameters, *_undeclared(operation)]:
            if parameter.place is Place.PATH and f"{{{parameter.name}}}" not in operation.path:
                continue
            if self._is_secret(parameter):
                collected.inputs.credentials.append(f"{parameter.place} {parameter.name[:60]}")
            elif is_sendable(parameter):
                collected.add_parameter(parameter)
            elif parameter.is_required:
                raise NotCallable(parameter.name)
        if operation.body is not None:
            self._add_body(operation.body, collected)
        return collected.complete()

    def _is_secret(self, parameter: Parameter) -> bool:
        if parameter.place is Place.PATH:
            return False
        name = parameter.name.lower()
        return (parameter.place, name) in self._secrets or bool(_SECRET.fullmatch(name))

    def _add_body(self, body: Body, collected: "_Collected") -> None:
        members = self._members(body.schema, base=body.base) if body.is_json or body.is_form else None
        collected.inputs.media_type = body.media_type
        if members is None or not 0 < len(members.schemas) <= MAX_MEMBERS:
            collected.add_whole_body(body)
            return
        if body.is_json and body.is_required:
            collected.inputs.body = {}
        names = []
        for name, (raw, base) in members.schemas.items():
            if _SECRET.fullmatch(name):
                collected.inputs.credentials.append(f"body {name[:60]}")
                continue
            names.append(collected.add_member(body, name, (raw, base)))
            if name in members.required:
                collected.require(names[-1], is_always=body.is_required)

    def _members(self, raw: Any, *, base: str, nested: int = 0) -> "_Members | None":
        """Return the members of a schema that is a plain object, put together from its parts; None if it is not."""
        schema, base = self._spec.follow(raw, base=base)
        if not schema or nested > _MAX_NESTED or schema.get("type", "object") != "object":
            return None
        rules = {key for key in schema if not key.startswith("x-")}
        if not rules <= _PLAIN or schema.get("additionalProperties") not in (None, False):
            return None
        found = _Members()
        for part in list_of(schema, "allOf"):
            inner = self._members(part, base=base, nested=nested + 1)
            if inner is None:
                return None
            found.schemas |= inner.schemas
            found.required |= inner.required
        for name, member in object_of(schema, "properties").items():
            if not (isinstance(member, dict) and member.get("readOnly") is True):
                found.schemas[name] = (member, base)
        found.required |= {name for name in list_of(schema, "required") if isinstance(name, str)}
        return found


@dataclass(slots=True)
class _Members:
    schemas: dict[str, tuple[Any, str]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)


class _Collected:
    """The inputs of an operation while they are being put together."""

    def __init__(self, schemas: Schemas) -> None:
        self.inputs = Inputs()
        self._schemas = schemas
        self._parts: list[Part] = []
        self._properties: dict[str, Any] = {}
        self._required: list[str] = []
        # Of an optional body: what it needs as soon as any of it is sent.
        self._required_together: list[str] = []
        self._members: list[str] = []
        self._examples: dict[str, Any] = {}

    def add_parameter(self, parameter: Parameter) -> None:
        """Take in a parameter."""
        if parameter.is_json_text:
            content = self._part(parameter.schema, parameter.base)
            schema: JSONSchema = {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": content,
            }
        else:
            schema = _with_marks(self._part(parameter.schema, parameter.base), parameter.name)
        if parameter.description:
            schema["description"] = parameter.description[:MAX_TEXT_CHARS]
        name = self._add(parameter.name, parameter.place, schema)
        self.inputs.slots.append(
            Slot(
                input=name,
                place=parameter.place,
                name=parameter.name,
                style=parameter.style,
                explode=parameter.explode,
            )
        )
        if parameter.is_required:
            self._required.append(name)
        self._note_example(name, parameter.example, *schema.get("examples", ())[:1])

    def add_member(self, body: Body, member: str, schema: tuple[Any, str]) -> str:
        """Take in a member of the body; return the name of its input."""
        place = Place.JSON if body.is_json else Place.FORM
        marked = _with_marks(self._part(*schema), member)
        how = body.encodings.get(member, Encoding()) if body.is_form else Encoding()
        name = self._add(member, place, _as_file(marked, how.media_type) if body.is_form else marked)
        pointer = f"/{member.replace('~', '~0').replace('/', '~1')}" if body.is_json else ""
        self.inputs.slots.append(
            Slot(
                input=name,
                place=place,
                name=member,
                pointer=pointer,
                style=how.style,
                explode=how.explode,
                media_type=how.media_type,
            )
        )
        self._members.append(name)
        if isinstance(body.example, dict):
            self._note_example(name, body.example.get(member))
        self._note_example(name, *self._properties[name].get("examples", ())[:1])
        return name

    def add_whole_body(self, body: Body) -> None:
        """Take in a body as one input."""
        if body.is_json:
            schema = self._part(body.schema, body.base)
        else:
            is_text = body.is_form or body.media_type.startswith("text/") or body.media_type.endswith("xml")
            schema = {"type": "string"} if is_text else {"type": "string", "contentEncoding": "base64"}
        schema.setdefault("description", f"The body of the request, {body.media_type}.")
        name = self._add("body", Place.BODY, schema)
        self.inputs.slots.append(Slot(input=name, place=Place.BODY, name="body"))
        if body.is_required:
            self._required.append(name)
        self._note_example(name, body.example, *schema.get("examples", ())[:1])

    def require(self, name: str, *, is_always: bool) -> None:
        """Note that a member of the body is required, always or as soon as there is a body."""
        (self._required if is_always else self._required_together).append(name)

    def complete(self) -> Inputs:
        """Return the inputs with their schema."""
        schema: JSONSchema = {"type": "object", "properties": self._properties, "additionalProperties": False}
        if self._required:
            schema["required"] = list(dict.fromkeys(self._required))
        if self._required_together:
            schema["dependentRequired"] = dict.fromkeys(self._members, self._required_together)
        self.inputs.schema = self._schemas.complete(schema, *self._parts)
        for name in self._required:
            rules = self._properties[name]
            self._note_example(name, rules.get("default"), *rules.get("enum", ())[:1])
        if all(name in self._examples for name in self._required):
            self.inputs.example = dict(self._examples)
        return self.inputs

    def _part(self, raw: Any, base: str) -> JSONSchema:
        part = self._schemas.part(raw, base=base)
        self._parts.append(part)
        return dict(part.schema) if isinstance(part.schema, dict) else {}

    def _add(self, wanted: str, place: Place, schema: JSONSchema) -> str:
        name, count = wanted[:MAX_TEXT_CHARS], 1
        while name in self._properties:
            name = f"{place}_{wanted[:MAX_TEXT_CHARS]}" if count == 1 else f"{place}_{wanted[:MAX_TEXT_CHARS]}_{count}"
            count += 1
        self._properties[name] = schema
        return name

    def _note_example(self, name: str, *offered: Any) -> None:
        """Remember the first of the offered values that is one."""
        for value in offered:
            if name not in self._examples and value is not None and is_small(value):
                self._examples[name] = value


def _undeclared(operation: Operation) -> list[Parameter]:
    """Return the parameters that only the path shows."""
    declared = {parameter.name for parameter in operation.parameters if parameter.place is Place.PATH}
    names = dict.fromkeys(re.findall(r"\{([^{}/]{1,200})\}", operation.path))
    return [
        Parameter(name, Place.PATH, {"type": "string"}, "", is_required=True, style="simple", explode=False)
        for name in names
        if name not in declared
    ]


def _with_marks(schema: JSONSchema, name: str) -> JSONSchema:
    """Return the schema of a password marked as one, never with a value."""
    is_text = schema.get("type", "string") == "string"
    if not is_text or not (schema.get("format") == "password" or _PASSWORD.fullmatch(name)):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("default", "examples", "enum", "const")}
    return kept | {"format": "password", "writeOnly": True}


def _as_file(schema: JSONSchema, media_type: str = "") -> JSONSchema:
    """Return the schema of a part of a form, where it is bytes as base64; ``media_type`` is what it is said to be."""
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return schema | {"items": _as_file(schema["items"], media_type)}
    is_bytes = schema.get("format") == "binary" or ("contentMediaType" in schema and "contentEncoding" not in schema)
    if not is_bytes or schema.get("type", "string") != "string":
        return schema
    said = {"contentMediaType": media_type} if media_type else {}
    return said | schema | {"type": "string", "format": "binary", "contentEncoding": "base64", "x-control": "file"}
