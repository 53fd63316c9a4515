"""Tools from a site's GraphQL: a tool for each field where the schema is told, else for each operation that was seen.

Source: GraphQL specification, October 2021, 4 (introspection); GraphQL over HTTP, draft of 2023.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_nullable_type,
    print_ast,
)

from tasks.discovery.engine.api_words import is_secret, role_of, split_name, words
from tasks.discovery.engine.effects import effect_of, is_idempotent
from tasks.discovery.engine.fixed_headers import fixed_headers, session_headers
from tasks.discovery.engine.graphql_documents import document_for
from tasks.discovery.engine.graphql_operations import Seen, arguments_given, variables_schema
from tasks.discovery.engine.graphql_types import arguments_schema
from tasks.discovery.engine.graphql_wire import operations_in
from tasks.discovery.engine.inference import infer_schema, read_json
from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.engine.site import Site
from tasks.discovery.tool import Effect, JSONSchema, Place, RequestCall, Slot, Source, Tool

WELL_KNOWN = ("/graphql", "/api/graphql")
MAX_TOOLS = 80
_MAX_ENDPOINTS = 3
_MAX_DESCRIPTION_CHARS = 500
_MAX_ERROR_CHARS = 5000
_JSON = "application/json"
# Fields that hold the items of a list which comes with more than them.
_LISTS = frozenset({"edges", "nodes", "items", "results"})
# What building a schema from a stranger's introspection raises.
_SCHEMA_ERRORS = (GraphQLError, TypeError, ValueError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An address that answers GraphQL, and what pages asked it."""

    url: str
    found_on: str
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class _Function:
    """What a tool is made of, whether a schema told it or a page."""

    name: str
    title: str
    description: str
    document: str
    operation: str
    arguments: JSONSchema
    answer: JSONSchema | None
    effect: Effect
    prior: float
    seen: tuple[Seen, ...] = ()
    typed: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()
    evidence: tuple[str, ...] = ()
    variables: tuple[tuple[str, Any], ...] = ()


def find_tools(site: Site) -> list[Tool]:
    """Return tools for queries and mutations, those first that pages use themselves."""
    tools: list[Tool] = []
    for endpoint in _endpoints(site):
        schema = _introspect(site, endpoint.url)
        functions = list(_fields(schema, endpoint)) if schema else []
        functions += _operations(endpoint, covered={function.title for function in functions})
        # The sort is stable: among those that were seen, and among the others, the order stays.
        functions.sort(key=lambda function: not function.seen)
        tools += [_tool(site, endpoint, function) for function in functions]
    return _named_apart(tools[:MAX_TOOLS])


def _endpoints(site: Site) -> list[_Endpoint]:
    seen: dict[str, list[Seen]] = defaultdict(list)
    for snapshot in site.snapshots:
        for exchange in snapshot.exchanges:
            for operation in operations_in(exchange.request_body) if exchange.method == "POST" else ():
                seen[exchange.url.partition("#")[0]].append(Seen(exchange, operation, snapshot.page.url))
    found = [_Endpoint(url, each[0].found_on, tuple(each)) for url, each in seen.items() if _is_answered(each)]
    return found[:_MAX_ENDPOINTS] or _well_known(site)


def _is_answered(seen: Sequence[Seen]) -> bool:
    """Whether the address speaks GraphQL. What was stopped before it left is judged by what it asked."""
    answers = [read_json(each.exchange.response_text) for each in seen if each.exchange.is_sent]
    return not answers or any(
        isinstance(a, list) or (isinstance(a, dict) and a.keys() & {"data", "errors"}) for a in answers
    )


def _well_known(site: Site) -> list[_Endpoint]:
    for path in WELL_KNOWN:
        url = f"{site.origin}{path}"
        answer = _post(site, url, "{ __typename }")
        if answer is not None and isinstance(answer.get("data"), dict) and "__typename" in answer["data"]:
            return [_Endpoint(url, url)]
    return []


def _post(site: Site, url: str, query: str) -> dict[str, Any] | None:
    if site.post_json is None:
        return None
    document = site.post_json(url, {"query": query})
    answer = read_json(document.text) if document and document.status < 500 else None
    return answer if isinstance(answer, dict) else None


def _introspect(site: Site, url: str) -> GraphQLSchema | None:
    """Return the schema that the server tells of itself; None where it does not, or tells nonsense."""
    answer = _post(site, url, get_introspection_query(one_of=True))
    if answer is not None and "isOneOf" in str(answer.get("errors", ""))[:_MAX_ERROR_CHARS]:
        # A server that is older than input objects of which one member is given.
        answer = _post(site, url, get_introspection_query())
    if answer is None or not isinstance(answer.get("data"), dict):
        return None
    try:
        return build_client_schema(answer["data"])
    except _SCHEMA_ERRORS:
        return None


def _fields(schema: GraphQLSchema, endpoint: _Endpoint) -> Iterable[_Function]:
    roots = (("query", schema.query_type), ("mutation", schema.mutation_type))
    for kind, root in roots:
        for name, field in list(root.fields.items())[:MAX_TOOLS] if root else ():
            if not field.deprecation_reason and (
                function := _field(schema, endpoint, kind=kind, name=name, field=field)
            ):
                yield function


def _field(
    schema: GraphQLSchema, endpoint: _Endpoint, *, kind: str, name: str, field: GraphQLField
) -> _Function | None:
    document = document_for(schema, kind=kind, name=name, field=field)
    if document is None:
        return None
    seen = tuple(one for one in endpoint.seen if name in one.operation.fields)
    given = [(one, arguments_given(one, name)) for one in seen]
    typed = {argument for one, values in given for argument, value in values.items() if one.is_typed(value)}
    arguments = arguments_schema(field.args)
    for argument in typed:
        arguments["properties"][argument] |= {"minLength": 1}
    examples = [values for _, values in given if values and set(arguments.get("required", ())) <= values.keys()]
    is_ready = not arguments.get("required")
    return _Function(
        name=_name(name, kind=kind, is_list=_is_list(field), is_search=bool(typed) or _asks_for_words(arguments)),
        title=name,
        description=(field.description or "").strip() or f"GraphQL {kind} {name}.",
        document=document.text,
        operation=document.name,
        arguments=arguments,
        answer=_answer(document.answer),
        effect=_effect(kind, name),
        prior=min(0.8 + 0.1 * bool(seen) + 0.05 * bool(typed), 0.95),
        seen=seen,
        typed=tuple(sorted(typed)),
        examples=_examples(examples, typed) or (({},) if is_ready else ()),
        evidence=(f"the schema that {endpoint.url[:150]} tells of itself",),
    )


def _examples(given: Sequence[dict[str, Any]], typed: set[str]) -> tuple[dict[str, Any], ...]:
    """Return the fullest example: one with the words that were typed, where there are any."""
    best = max(
        given, key=lambda values: (sum(len(str(values.get(name, ""))) for name in typed), len(values)), default=None
    )
    return (best,) if best else ()


def _operations(endpoint: _Endpoint, *, covered: set[str]) -> Iterable[_Function]:
    alike: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for seen in endpoint.seen:
        if not set(seen.operation.fields) <= covered:
            alike[(print_ast(seen.operation.document), seen.operation.name)].append(seen)
    for (text, name), sightings in alike.items():
        yield _operation(text, name, sightings)


def _operation(text: str, name: str, sightings: list[Seen]) -> _Function:
    operation = sightings[0].operation
    kind = operation.node.operation.value
    title = name or "_".join(operation.fields[:3]) or kind
    arguments, typed = variables_schema(sightings)
    settable = arguments["properties"]
    given = [
        {n: v for n, v in seen.operation.variables.items() if n in settable and v is not None} for seen in sightings
    ]
    answers = [answer for seen in sightings if isinstance(answer := read_json(seen.exchange.response_text), dict)]
    fixed = tuple((n, v) for n, v in operation.variables.items() if not is_secret(n) and n not in typed)
    return _Function(
        name=_name(title, kind=kind, is_list=False, is_search=bool(typed)),
        title=title,
        description=f"GraphQL {kind} {title}, as the site's own pages ask it.",
        document=text,
        operation=name,
        arguments=arguments,
        answer=infer_schema(answers) if answers else None,
        effect=_effect(kind, title, *operation.fields),
        prior=min(0.65 + 0.2 * bool(typed) + 0.05 * min(len(sightings) - 1, 2), 0.95),
        seen=tuple(sightings),
        typed=tuple(typed),
        examples=_examples(given, set(typed)),
        evidence=("the schema is not told; the operation is one that was seen",),
        variables=fixed,
    )


def _tool(site: Site, endpoint: _Endpoint, function: _Function) -> Tool:
    exchanges = [seen.exchange for seen in function.seen or endpoint.seen]
    needed = session_headers(exchanges)
    body: dict[str, Any] = {"query": function.document, "variables": dict(function.variables)}
    if function.operation:
        body["operationName"] = function.operation
    is_search = bool(function.typed) or function.name.startswith("search_")
    return Tool(
        name=function.name,
        title=function.title[:200],
        description=function.description[:_MAX_DESCRIPTION_CHARS],
        site=site.origin,
        found_on=function.seen[0].found_on if function.seen else endpoint.found_on,
        source=Source.GRAPHQL,
        purpose="search" if is_search and function.effect is Effect.READ else "graphql",
        effect=function.effect,
        is_idempotent=is_idempotent("POST", function.effect),
        call=RequestCall(
            method="POST",
            url=endpoint.url,
            headers=fixed_headers(exchanges),
            slots=tuple(_slot(name) for name in function.arguments["properties"]),
            body=body,
            media_type=_JSON,
        ),
        input_schema={"$schema": DIALECT} | function.arguments,
        output_schema=function.answer,
        prior=round(max(function.prior - 0.25 * bool(needed), 0.05), 2),
        evidence=(*function.evidence, *_evidence(function, needed))[:20],
        examples=function.examples,
    )


def _slot(name: str) -> Slot:
    # Names of GraphQL have no character that a pointer would have to escape.
    return Slot(input=name, place=Place.JSON, name=name, pointer=f"/variables/{name}")


def _evidence(function: _Function, needed: Sequence[str]) -> Iterable[str]:
    triggers = dict.fromkeys(seen.exchange.trigger for seen in function.seen)
    if function.seen:
        yield f"seen {len(function.seen)} times"
    yield from (f"after: {trigger}"[:200] for trigger in list(triggers)[:5])
    yield from (f"{name!r} is what was typed" for name in function.typed)
    for name in function.arguments["properties"]:
        if (role := role_of(name)) in ("page", "offset", "cursor"):
            yield f"{name!r} is a {role}"[:200]
    yield from (f"needs a session: {name}"[:200] for name in needed[:5])
    if any(not seen.exchange.is_sent for seen in function.seen):
        yield "stopped before it was sent: it may change something"


def _effect(kind: str, *names: str) -> Effect:
    if kind == "query":
        return effect_of("GET", *names)
    effect = effect_of("POST", *names)
    # By the specification a mutation changes something, whatever it is called.
    return Effect.WRITE if effect is Effect.READ else effect


def _name(title: str, *, kind: str, is_list: bool, is_search: bool) -> str:
    """Return ``search_products`` for a query ``products(search:)``, ``delete_product`` for that mutation."""
    parts = split_name(title)
    has_verb = bool(parts) and parts[0] in words("verbs")
    if kind == "query" and not has_verb:
        parts.insert(0, "search" if is_search else "list" if is_list else "get")
    return "_".join(part for part in parts if part.isascii())[:80] or kind


def _is_list(field: GraphQLField) -> bool:
    """Whether a field answers with a list, bare or as a connection."""
    type_ = get_nullable_type(field.type)
    return isinstance(type_, GraphQLList) or bool(getattr(type_, "fields", {}).keys() & _LISTS)


def _asks_for_words(arguments: JSONSchema) -> bool:
    rules = arguments["properties"]
    return any(role_of(name) == "query" and rules[name].get("type") == "string" for name in rules)


def _answer(data: JSONSchema) -> JSONSchema:
    return {"type": "object", "properties": {"data": data, "errors": {"type": "array"}}}


def _named_apart(tools: list[Tool]) -> list[Tool]:
    taken: set[str] = set()
    apart = []
    for tool in tools:
        name, number = tool.name, 2
        while name in taken:
            name, number = f"{tool.name}_{number}", number + 1
        taken.add(name)
        apart.append(tool.model_copy(update={"name": name}))
    return apart
