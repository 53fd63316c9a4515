"""From the operations of a specification to tools."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote

from jsonschema_rs import ReferencingError, ValidationError
from jsonschema_rs import is_valid as fits

from tasks.discovery.engine.effects import effect_of, is_idempotent
from tasks.discovery.engine.names import Names
from tasks.discovery.engine.sources.openapi.inputs import InputReader, Inputs, NotCallable
from tasks.discovery.engine.sources.openapi.operations import Operation, operations
from tasks.discovery.engine.sources.openapi.servers import server_url
from tasks.discovery.engine.sources.openapi.specification import Specification, object_of
from tasks.discovery.engine.sources.reach import MAX_URL_CHARS, is_other_host
from tasks.discovery.engine.sources.schemas import MAX_TOTAL, Schemas
from tasks.discovery.tool import MAX_DESCRIPTION_CHARS, Place, RequestCall, Source, Tool

_PRIOR = 0.95
_PRIOR_WITH_CREDENTIAL = 0.85
_PRIOR_ELSEWHERE = 0.7
_PRIOR_DEPRECATED = 0.6
_MAX_VALUES = 100_000
_MIN_VALUES = 100
_MAX_TITLE_CHARS = 200
_PLACES = {"query": Place.QUERY, "header": Place.HEADER, "cookie": Place.COOKIE}
_PATH_SAFE = "/{}:@!$&'()*+,;=~-._%"


def specification_tools(spec: Specification, *, site: str, names: Names) -> list[Tool]:
    """Return one tool per operation that a caller can carry out; ``site`` is the origin they belong to."""
    return _Builder(spec, site=site, names=names).tools()


class _Builder:
    """Builds the tools of one specification."""

    def __init__(self, spec: Specification, *, site: str, names: Names) -> None:
        self._spec = spec
        self._site = site
        self._names = names
        self._server = server_url(spec, (), site=site)
        components = spec.raw if spec.is_swagger else object_of(spec.raw, "components")
        self._schemes = object_of(components, "securityDefinitions" if spec.is_swagger else "securitySchemes")
        # Large specifications get less room for each operation, so that all of them together stay bounded.
        room = max(_MIN_VALUES, min(MAX_TOTAL, _MAX_VALUES // max(1, len(spec.raw["paths"]))))
        self._reader = InputReader(spec, Schemas(spec.resolve, max_total=room), secrets=self._secrets())
        self._answers = Schemas(spec.resolve, is_answer=True, max_total=room)

    def tools(self) -> list[Tool]:
        built = (self._tool(operation) for operation in operations(self._spec))
        return [tool for tool in built if tool is not None]

    def _tool(self, operation: Operation) -> Tool | None:
        own = operation.servers
        server = server_url(self._spec, own, site=self._site) if own else self._server
        if server is None:
            return None
        try:
            inputs = self._reader.inputs(operation)
        except NotCallable:
            return None
        path, _, query = operation.path.partition("#")[0].partition("?")
        url = server + quote(path, safe=_PATH_SAFE)
        if len(url) > MAX_URL_CHARS:
            return None
        effect = effect_of(operation.method, operation.name, operation.summary, operation.path)
        needed = self._needed(operation, inputs)
        text = ". ".join(dict.fromkeys(filter(None, (operation.summary.rstrip("."), operation.description))))
        return Tool(
            name=self._names.take(operation.name, f"{operation.method.lower()}{path}"),
            title=operation.summary[:_MAX_TITLE_CHARS],
            description=text[:MAX_DESCRIPTION_CHARS],
            site=self._site,
            found_on=self._spec.url,
            source=Source.OPENAPI,
            purpose="api",
            effect=effect,
            is_idempotent=is_idempotent(operation.method, effect),
            call=RequestCall(
                method=operation.method,
                url=url,
                query=tuple(parse_qsl(query, keep_blank_values=True, max_num_fields=50))
                if query.count("&") < 50
                else (),
                headers=(("accept", operation.accept),) if operation.accept else (),
                slots=tuple(inputs.slots),
                body=inputs.body,
                media_type=inputs.media_type,
            ),
            input_schema=inputs.schema,
            output_schema=self._output(operation),
            prior=self._prior(operation, url=url, needs_credential=bool(needed)),
            evidence=self._evidence(operation, url=url, needed=needed),
            examples=(inputs.example,) if inputs.example and _is_example(inputs) else (),
        )

    def _output(self, operation: Operation) -> dict[str, Any] | None:
        if not isinstance(operation.answer, dict) or not operation.answer:
            return None
        return self._answers.schema(operation.answer, base=operation.answer_base)

    def _prior(self, operation: Operation, *, url: str, needs_credential: bool) -> float:
        if operation.is_deprecated:
            return _PRIOR_DEPRECATED
        if is_other_host(url, site=self._site):
            return _PRIOR_ELSEWHERE
        return _PRIOR_WITH_CREDENTIAL if needs_credential else _PRIOR

    def _evidence(self, operation: Operation, *, url: str, needed: str) -> tuple[str, ...]:
        version = self._spec.raw.get("swagger" if self._spec.is_swagger else "openapi")
        label = "Swagger" if self._spec.is_swagger else "OpenAPI"
        lines = [f"{label} {str(version)[:10]}: {operation.method} {operation.path[:120]}"]
        if needed:
            lines.append(f"Needs a credential: {needed}"[:200])
        if is_other_host(url, site=self._site):
            lines.append(f"Calls another host: {re.sub(r'^https?://|/.*', '', url)[:100]}")
        if operation.is_deprecated:
            lines.append("Marked as deprecated")
        return tuple(lines)

    def _needed(self, operation: Operation, inputs: Inputs) -> str:
        needed = [" and ".join(self._described(name) for name in names) for names in operation.security[:5]]
        return " or ".join(dict.fromkeys(needed or inputs.credentials[:5]))

    def _described(self, name: str) -> str:
        scheme, _ = self._spec.follow(self._schemes.get(name), base=self._spec.url)
        match str(scheme.get("type", "")):
            case "apiKey":
                return f"key in the {str(scheme.get('in'))[:20]} {str(scheme.get('name'))[:60]}"
            case "http" if scheme.get("scheme"):
                return f"HTTP {str(scheme['scheme'])[:20]}"
            case "basic":
                return "HTTP basic"
            case "oauth2":
                return "OAuth 2"
            case "openIdConnect":
                return "OpenID Connect"
            case "mutualTLS":
                return "client certificate"
        return name[:60]

    def _secrets(self) -> frozenset[tuple[Place, str]]:
        found = set()
        for value in list(self._schemes.values())[:100]:
            scheme, _ = self._spec.follow(value, base=self._spec.url)
            place = _PLACES.get(str(scheme.get("in")))
            if place is not None and isinstance(scheme.get("name"), str):
                found.add((place, scheme["name"].lower()))
        return frozenset(found)


def _is_example(inputs: Inputs) -> bool:
    try:
        return fits(inputs.schema, inputs.example)
    except (ValidationError, ReferencingError, ValueError):
        return False
