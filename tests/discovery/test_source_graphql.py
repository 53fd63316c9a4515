"""Tools from GraphQL: by introspection of a real schema, by operations seen, and from servers that lie."""

import json
from typing import Any

import pytest
from graphql import build_schema, graphql_sync, parse, validate
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tasks.discovery.engine.site import Document
from tasks.discovery.engine.sources.graphql import find_tools
from tasks.discovery.tool import Effect, RequestCall, Tool
from tests.discovery.exchanges import ORIGIN, asked, site_of

SDL = """
enum Origin { HERE "From far away" ABROAD }
input Range { least: Float = 0, most: Float!, inner: Range }
input One @oneOf { id: ID, name: String }
scalar DateTime
interface Thing { id: ID! }
type Maker { name: String!, products: [Product!]!, boss: Maker }
type Product implements Thing {
  id: ID!, name: String!, price: Float, origin: Origin, maker: Maker
  old: String @deprecated, picture(width: Int!): String
}
type Link { url: String }
union Found = Product | Link
type Edge { node: Product }
type Connection { edges: [Edge!], pageInfo: PageInfo! }
type PageInfo { endCursor: String, hasNextPage: Boolean! }
type Query {
  "Products by words."
  products(search: String, origin: Origin, price: Range, ids: [ID!]!, first: Int! = 10): [Product!]!
  product(by: One!, at: DateTime): Product
  all(after: String): Connection
  found: [Found]
  thing: Thing
  hello: String @deprecated
  version: String!
}
type Mutation {
  addReview(productId: ID!, text: String!): Product
  deleteProduct(id: ID!): Boolean
  search(words: String): String
}
"""
SCHEMA = build_schema(SDL)
FIND = "query Find($search: String!, $first: Int = 5, $sort: Order) { items(s: $search, n: $first, o: $sort) { id } }"


class Server:
    """Answers as a GraphQL server does; ``asked`` has the queries."""

    def __init__(self, *, paths: tuple[str, ...] = ("/graphql",), is_introspectable: bool = True) -> None:
        self.asked: list[tuple[str, str]] = []
        self._paths, self._is_introspectable = paths, is_introspectable

    def __call__(self, url: str, payload: Any, *, accept: str = "") -> Document | None:
        path = url.removeprefix(ORIGIN)
        self.asked.append((path, payload["query"]))
        if path not in self._paths:
            return Document(url, 404, "text/html", "<h1>nothing</h1>")
        if "__schema" in payload["query"] and not self._is_introspectable:
            return Document(url, 400, "application/json", '{"errors": [{"message": "not allowed"}]}')
        answer = graphql_sync(SCHEMA, payload["query"]).formatted
        return Document(url, 200, "application/json", json.dumps(answer))


def tools_of(*exchanges: Any, server: Any = None) -> dict[str, Tool]:
    tools = find_tools(site_of(*exchanges, post_json=server))
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
        for example in tool.examples:
            Draft202012Validator(tool.input_schema).validate(example)
    return {tool.name: tool for tool in tools}


def call_of(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


@pytest.fixture(scope="module")
def told() -> dict[str, Tool]:
    return tools_of(server=Server())


def test_each_field_becomes_a_tool(told: dict[str, Tool]) -> None:
    """Deprecated ones stay out; lists, connections and searches are told apart."""
    expected = ["search_products", "get_product", "list_all", "list_found", "get_thing", "get_version"]
    assert [*expected, "add_review", "delete_product", "search"] == list(told)


def test_documents_are_valid_for_the_schema(told: dict[str, Tool]) -> None:
    for tool in told.values():
        body = call_of(tool).body
        assert [] == validate(SCHEMA, parse(body["query"])), body["query"]
        assert body["operationName"] in body["query"]


def test_arguments_become_json_schema(told: dict[str, Tool]) -> None:
    schema = told["search_products"].input_schema
    rules = schema["properties"]
    assert ["ids"] == schema["required"]
    assert {"type": "array", "items": {"type": "string"}} == rules["ids"]
    assert (["HERE", "ABROAD"], 10) == (rules["origin"]["enum"], rules["first"]["default"])
    assert {"const": "ABROAD", "description": "From far away"} == rules["origin"]["oneOf"][1]
    judge = Draft202012Validator(schema)
    assert judge.is_valid({"ids": [], "price": {"most": 2, "inner": {"most": 1}}})
    assert not judge.is_valid({"ids": [], "price": {"least": 2}})
    one = Draft202012Validator(told["get_product"].input_schema)
    assert one.is_valid({"by": {"id": "1"}})
    assert not one.is_valid({"by": {"id": "1", "name": "x"}})
    assert "date-time" == told["get_product"].input_schema["properties"]["at"]["format"]


def test_a_default_of_what_may_not_be_null_lets_it_be_left_out(told: dict[str, Tool]) -> None:
    """The variable has the default too, else the server would refuse the call without it."""
    body = call_of(told["search_products"]).body
    root = {"products": lambda _, first, ids: [{"id": "1", "name": str(first)}]}
    answer = graphql_sync(SCHEMA, body["query"], root, variable_values={"ids": []})
    assert ("10", None) == (answer.data and answer.data["products"][0]["name"], answer.errors)


def test_selections_are_bounded_and_worth_having(told: dict[str, Tool]) -> None:
    text = call_of(told["search_products"]).body["query"]
    assert "maker {\n      name\n      boss" not in text  # a maker inside a maker
    assert "old" not in text
    assert "picture" not in text
    connection = " ".join(call_of(told["list_all"]).body["query"].split())
    assert "edges { node { id name price origin" in connection
    assert "pageInfo { endCursor hasNextPage }" in connection
    assert "... on Product {" in call_of(told["list_found"]).body["query"]


def test_answers_fit_the_output_schema(told: dict[str, Tool]) -> None:
    tool = told["search_products"]
    root = {"products": lambda *_, **__: [{"id": 1, "name": "kettle", "price": 1, "maker": None}]}
    answer = graphql_sync(SCHEMA, call_of(tool).body["query"], root, variable_values={"ids": []}).formatted
    assert tool.output_schema is not None
    Draft202012Validator(tool.output_schema).validate(answer)
    assert not Draft202012Validator(tool.output_schema).is_valid({"data": {"products": [{"name": 1}]}})


def test_mutations_are_marked(told: dict[str, Tool]) -> None:
    effects = {name: told[name].effect for name in ("add_review", "delete_product", "search", "get_version")}
    assert [Effect.WRITE, Effect.DESTROY, Effect.WRITE, Effect.READ] == list(effects.values())
    assert {"search", "graphql"} == {tool.purpose for tool in told.values()}
    assert "graphql" == told["search"].purpose


def test_slots_point_into_the_variables(told: dict[str, Tool]) -> None:
    slots = call_of(told["add_review"]).slots
    assert ["/variables/productId", "/variables/text"] == [slot.pointer for slot in slots]


def test_only_harmless_questions_are_asked_of_well_known_paths() -> None:
    server = Server(paths=())
    assert {} == tools_of(server=server)
    assert [("/graphql", "{ __typename }"), ("/api/graphql", "{ __typename }")] == server.asked


def test_without_a_way_to_post_nothing_is_asked() -> None:
    assert {} == tools_of()


def test_what_pages_ask_comes_first_and_gives_examples() -> None:
    body = {
        "query": "query P($w: String) { version products(search: $w, ids: []) { id } }",
        "variables": {"w": "kettle"},
    }
    seen = asked("/graphql", {"data": {}}, method="POST", body=body, typed="kettle", trigger="typed 'kettle'")
    first = find_tools(site_of(seen, post_json=Server()))[0]
    assert ("search_products", "search") == (first.name, first.purpose)
    assert ({"search": "kettle", "ids": []},) == first.examples
    assert "'search' is what was typed" in first.evidence


def operation(search: str, **more: Any) -> Any:
    variables = {"search": search, "sort": {"by": "name"}, "token": "s3cr3t"}
    answer = {"data": {"items": [{"id": "1"}]}}
    return asked(
        "/api/q", answer, method="POST", body={"query": FIND, "operationName": "Find", "variables": variables}, **more
    )


def test_operations_seen_become_tools_where_the_schema_is_not_told() -> None:
    server = Server(is_introspectable=False)
    [tool] = tools_of(operation(""), operation("kettle", typed="kettle"), server=server).values()
    assert ("find", "search") == (tool.name, tool.purpose)
    rules = tool.input_schema["properties"]
    assert {"search", "first", "sort"} == rules.keys()
    assert ["search"] == tool.input_schema["required"]
    assert (5, "object") == (rules["first"]["default"], rules["sort"]["type"])
    assert "s3cr3t" not in tool.model_dump_json()
    assert ({"search": "kettle", "sort": {"by": "name"}},) == tool.examples
    assert {"sort": {"by": "name"}} == call_of(tool).body["variables"]
    assert tool.output_schema is not None


def test_a_mutation_that_was_stopped_is_a_marked_tool() -> None:
    body = {"query": "mutation { deleteAll }"}
    seen = asked("/graphql", "", method="POST", body=body, is_sent=False, status=0, media_type="")
    [tool] = tools_of(seen).values()
    assert Effect.DESTROY is tool.effect


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["__schema", "types", "name", "kind", "fields", "queryType"]), inner)
        ),
        max_leaves=20,
    )
)
def test_a_server_that_tells_nonsense_has_no_tools(nonsense: Any) -> None:
    def server(url: str, payload: Any, *, accept: str = "") -> Document | None:
        answer = {
            "data": {"__typename": "Query"} | (nonsense if isinstance(nonsense, dict) else {"__schema": nonsense})
        }
        return Document(url, 200, "application/json", json.dumps(answer))

    assert {} == tools_of(server=server)


@given(st.text(max_size=80), st.none() | st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)))
def test_hostile_operations_break_nothing(text: str, variables: Any) -> None:
    for query in (text, f"query A($v: {text}) {{ a(v: $v) }}", "{" * 3000, f"{{ a{'{ a' * 200}{'}' * 200} }}"):
        tools_of(asked("/graphql", text, method="POST", body={"query": query, "variables": variables}))
