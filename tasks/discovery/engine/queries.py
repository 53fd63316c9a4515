"""Whether a request that a page's script is about to send only asks for something.

Judged before it leaves, while controls are tried: what is not clearly a question stays. A wrong refusal costs a tool, a
wrong pass could cost somebody their data.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tasks.discovery.engine.effects import effect_of
from tasks.discovery.engine.graphql_wire import operations_in
from tasks.discovery.engine.inference import read_json
from tasks.discovery.tool import Effect

_GETS = frozenset({"GET", "HEAD", "OPTIONS"})
_OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")
# Members and fields that name the function which is called, where one address serves many.
_FUNCTION_NAMES = frozenset({"action", "method", "_method", "operation", "op", "cmd", "command", "do", "task"})
_MAX_BODY_CHARS = 100_000
_MAX_PARAMETERS = 40


def is_query(method: str, url: str, *, headers: Mapping[str, str], body: str) -> bool:
    """Whether it is clearly a question: a read whose words do not speak against it, or a POST that says it is one.

    Args:
        headers: by names in lower case.
        body: as text; empty for none.
    """
    try:
        parts = urlsplit(url)
        parameters = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return False
    if len(parameters) > _MAX_PARAMETERS:
        return False
    names = _functions(parameters) | {"path": parts.path}
    methods = {method.upper(), *(headers[name].upper() for name in _OVERRIDES if headers.get(name))}
    if methods <= _GETS:
        words = [f"{name} {value}" for name, value in parameters]
        return effect_of("GET", *names.values(), *words) is Effect.READ
    # A type without a body: there is one that cannot be seen, a blob or a stream.
    is_hidden = not body and bool(_media_type(headers))
    if is_hidden or not methods <= {*_GETS, "POST", "QUERY"}:
        return False
    return _is_question(parts.path, body=body, functions=_functions(parameters), media_type=_media_type(headers))


def _is_question(path: str, *, body: str, functions: dict[str, str], media_type: str) -> bool:
    if len(body) > _MAX_BODY_CHARS or effect_of("GET", path) is not Effect.READ:
        return False
    if operations := operations_in(body):
        return all(one.is_query and effect_of("GET", *one.fields) is Effect.READ for one in operations)
    functions = functions | _functions_in(body, media_type)
    if functions:
        return all(effect_of("POST", name) is Effect.READ for name in functions.values())
    return effect_of("POST", path) is Effect.READ


def _functions_in(body: str, media_type: str) -> dict[str, str]:
    if media_type == "application/x-www-form-urlencoded":
        try:
            return _functions(parse_qsl(body, max_num_fields=1000))
        except ValueError:
            return {"": "unreadable"}
    content: Any = read_json(body)
    if body and content is None:
        # Multipart, protocol buffers and the like: nobody can tell.
        return {"": "unreadable"}
    asked = content if isinstance(content, list) else [content]
    pairs = [pair for one in asked if isinstance(one, dict) for pair in one.items()]
    return _functions([(name, value) for name, value in pairs if isinstance(value, str)])


def _functions(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return the functions that are named, by a key of their own each."""
    found = [(name, value) for name, value in pairs if name.lower() in _FUNCTION_NAMES and value]
    return {f"{position} {name}": value for position, (name, value) in enumerate(found)}


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
