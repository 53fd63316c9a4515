"""The operations of a specification, Swagger 2.0 and OpenAPI 3 alike.

Source: OpenAPI 2.0; OpenAPI 3.0.4; OpenAPI 3.1.1, sections 4.8.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.discovery.engine.sources.openapi.form_encoding import Encoding, collected, encoding_of
from tasks.discovery.engine.sources.openapi.specification import Specification, list_of, object_of, text_of
from tasks.discovery.tool import Place

MAX_OPERATIONS = 2000
MAX_PARAMETERS = 100

_METHODS = ("get", "post", "put", "patch", "delete")
_STYLES = {Place.PATH: "simple", Place.QUERY: "form", Place.HEADER: "simple", Place.COOKIE: "form"}
_COLLECTIONS = {"csv": ("", False), "ssv": ("spaceDelimited", False), "pipes": ("pipeDelimited", False)}
_JSON = re.compile(r"^application/(?:[\w.+-]+\+)?json$")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# The description says these by other means, or the connection does.
_SAID_ELSEWHERE = frozenset({"accept", "content-type", "authorization"})
_CONNECTION = frozenset(
    {"connection", "content-length", "cookie", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input beside the body. ``base`` is the address of the document that ``schema`` stands in."""

    name: str
    place: Place
    schema: Any
    base: str
    is_required: bool = False
    description: str = ""
    style: str = ""
    explode: bool = True
    example: Any = None
    # Its value is a JSON text.
    is_json_text: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """A body of one media type. ``base`` is the address of the document that ``schema`` stands in."""

    media_type: str
    schema: Any
    base: str
    is_required: bool = False
    example: Any = None
    encodings: dict[str, Encoding] = field(default_factory=dict)

    @property
    def is_json(self) -> bool:
        """Whether it is a JSON text."""
        return bool(_JSON.match(self.media_type))

    @property
    def is_form(self) -> bool:
        """Whether it is form-encoded or multipart."""
        return self.media_type in _FORMS


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``accept`` is the media type to ask for, ``answer`` its schema where it is JSON."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    accept: str
    answer: Any
    answer_base: str
    # Alternatives, each a list of names of security schemes that are needed together; empty for nothing needed.
    security: tuple[tuple[str, ...], ...]
    is_deprecated: bool
    # Where the operation or its path has servers of its own.
    servers: tuple[Any, ...]


def operations(spec: Specification) -> Iterator[Operation]:
    """Return the operations in the order of the document, at most ``MAX_OPERATIONS``."""
    count = 0
    for path, raw in spec.raw["paths"].items():
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        item, base = spec.follow(raw, base=spec.url)
        for method in _METHODS:
            if isinstance(item.get(method), dict):
                yield _Reader(spec, item, base=base).operation(method, path)
                count += 1
                if count == MAX_OPERATIONS:
                    return


def is_sendable(parameter: Parameter) -> bool:
    """Whether a caller may set it at all: headers of the connection are not theirs."""
    if parameter.place is not Place.HEADER:
        return True
    name = parameter.name.lower()
    return name not in _CONNECTION and not name.startswith(("proxy-", "sec-")) and bool(_HEADER_NAME.fullmatch(name))


class _Reader:
    """Reads the operations of one path."""

    def __init__(self, spec: Specification, item: dict[str, Any], *, base: str) -> None:
        self._spec = spec
        self._item = item
        self._base = base

    def operation(self, method: str, path: str) -> Operation:
        raw = self._item[method]
        given = self._given(raw)
        accept, answer, answer_base = self._answer(raw)
        return Operation(
            method=method.upper(),
            path=path,
            name=text_of(raw, "operationId"),
            summary=text_of(raw, "summary") or text_of(self._item, "summary"),
            description=text_of(raw, "description") or text_of(self._item, "description"),
            parameters=tuple(self._parameters(given)),
            body=self._swagger_body(raw, given) if self._spec.is_swagger else self._body(raw),
            accept=accept,
            answer=answer,
            answer_base=answer_base,
            security=_security(raw if "security" in raw else self._spec.raw),
            is_deprecated=raw.get("deprecated") is True,
            servers=tuple(list_of(raw, "servers") or list_of(self._item, "servers")),
        )

    def _given(self, raw: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
        """Return the parameters as they stand, those of the operation before those of the path that they replace."""
        found: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
        for value in [*list_of(raw, "parameters"), *list_of(self._item, "parameters")][:MAX_PARAMETERS]:
            parameter, base = self._spec.follow(value, base=self._base)
            name, place = parameter.get("name"), parameter.get("in")
            if isinstance(name, str) and name and isinstance(place, str):
                found.setdefault((name, place), (parameter, base))
        return list(found.values())

    def _parameters(self, given: list[tuple[dict[str, Any], str]]) -> Iterator[Parameter]:
        for raw, base in given:
            if raw["in"] not in ("path", "query", "header", "cookie"):
                continue
            place = Place(raw["in"])
            if place is Place.HEADER and raw["name"].lower() in _SAID_ELSEWHERE:
                continue
            yield _swagger_parameter(raw, place, base) if self._spec.is_swagger else _parameter(raw, place, base)

    def _body(self, raw: dict[str, Any]) -> Body | None:
        body, base = self._spec.follow(raw.get("requestBody"), base=self._base)
        content = object_of(body, "content")
        media_type = _preferred(content)
        if not media_type:
            return None
        part = object_of(content, media_type)
        return Body(
            media_type=_bare(media_type),
            schema=part.get("schema"),
            base=base,
            is_required=body.get("required") is True,
            example=_example(part),
            encodings={name: encoding_of(said) for name, said in object_of(part, "encoding").items()},
        )

    def _swagger_body(self, raw: dict[str, Any], given: list[tuple[dict[str, Any], str]]) -> Body | None:
        consumes = [item for item in self._media_types(raw, "consumes") if isinstance(item, str)]
        for parameter, base in given:
            if parameter["in"] == "body":
                media_type = _bare(_preferred(dict.fromkeys(consumes)) or "application/json")
                is_required = parameter.get("required") is True
                return Body(media_type, parameter.get("schema"), base, is_required=is_required)
        fields = {parameter["name"]: parameter for parameter, _ in given if parameter["in"] == "formData"}
        if not fields:
            return None
        has_file = any(field.get("type") == "file" for field in fields.values())
        media_type = _FORMS[1] if has_file or (_FORMS[0] not in consumes and _FORMS[1] in consumes) else _FORMS[0]
        required = [name for name, field in fields.items() if field.get("required") is True]
        schema = {"type": "object", "properties": fields, "required": required}
        encodings = {name: collected(field) for name, field in fields.items() if field.get("type") == "array"}
        return Body(media_type, schema, self._base, is_required=bool(required), encodings=encodings)

    def _answer(self, raw: dict[str, Any]) -> tuple[str, Any, str]:
        responses = object_of(raw, "responses")
        codes = sorted(code for code in responses if re.fullmatch(r"2(?:\d\d|XX)", code, re.IGNORECASE))
        for code in [*codes, *(["default"] if not codes and "default" in responses else [])]:
            answer, base = self._spec.follow(responses[code], base=self._base)
            content = self._answer_content(raw, answer)
            media_type = next((name for name in content if _JSON.match(_bare(name))), next(iter(content), ""))
            if not _bare(media_type):
                continue
            is_json = bool(_JSON.match(_bare(media_type)))
            schema = object_of(content, media_type).get("schema") if is_json else None
            return _bare(media_type), schema, base
        return "", None, self._base

    def _answer_content(self, raw: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if not self._spec.is_swagger:
            return object_of(answer, "content")
        types = [item for item in self._media_types(raw, "produces") if isinstance(item, str)]
        return dict.fromkeys(types or ["application/json"], answer) if "schema" in answer else {}

    def _media_types(self, raw: dict[str, Any], key: str) -> list[Any]:
        return list_of(raw, key) if key in raw else list_of(self._spec.raw, key)


def _parameter(raw: dict[str, Any], place: Place, base: str) -> Parameter:
    content = object_of(raw, "content")
    media_type = next(iter(content), "")
    style = raw.get("style") if isinstance(raw.get("style"), str) else _STYLES[place]
    explode = raw.get("explode") if isinstance(raw.get("explode"), bool) else style in ("form", "deepObject")
    return Parameter(
        name=raw["name"],
        place=place,
        schema=object_of(content, media_type).get("schema") if media_type else raw.get("schema"),
        base=base,
        is_required=raw.get("required") is True or place is Place.PATH,
        description=text_of(raw, "description"),
        style=str(style),
        explode=bool(explode),
        example=_example(raw),
        is_json_text=bool(_JSON.match(_bare(media_type))),
    )


def _swagger_parameter(raw: dict[str, Any], place: Place, base: str) -> Parameter:
    collection = str(raw.get("collectionFormat", "csv"))
    style, explode = _COLLECTIONS.get(collection, ("", collection == "multi"))
    return Parameter(
        name=raw["name"],
        place=place,
        schema={key: value for key, value in raw.items() if key not in ("name", "in", "required", "description")},
        base=base,
        is_required=raw.get("required") is True or place is Place.PATH,
        description=text_of(raw, "description"),
        style=style or _STYLES[place],
        explode=explode,
        example=raw.get("x-example"),
    )


def _example(raw: dict[str, Any]) -> Any:
    if "example" in raw:
        return raw["example"]
    first = next(iter(object_of(raw, "examples").values()), None)
    return first.get("value") if isinstance(first, dict) else None


def _security(raw: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    needed = [tuple(map(str, item)) for item in list_of(raw, "security") if isinstance(item, dict)]
    return () if () in needed else tuple(needed)


def _preferred(content: dict[str, Any]) -> str:
    """Return the media type that says most about its inputs: JSON, then forms, then whatever comes first."""
    by_bare = {_bare(name): name for name in reversed(content) if _bare(name)}
    wanted = ["application/json", *(name for name in by_bare if _JSON.match(name)), *_FORMS, *by_bare]
    return next((by_bare[name] for name in wanted if name in by_bare), "")


def _bare(media_type: str) -> str:
    """Return the media type without parameters; what allows any is JSON, what is malformed is empty."""
    bare = media_type[:200].partition(";")[0].strip().lower()
    if bare in ("*/*", "application/*"):
        return "application/json"
    return bare if _MEDIA_TYPE.fullmatch(bare) else ""
