"""What may leave a page while its controls are tried: questions, and nothing that might be more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.queries import is_query

FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
URL = "https://shop.example"


def graphql(text: str, **more: Any) -> str:
    return json.dumps({"query": text} | more)


QUESTIONS = [
    ("GET", "/api/products?page=2", {}, ""),
    ("GET", "/api/orders/recent", {}, ""),
    ("OPTIONS", "/api/products/1", {}, ""),
    ("POST", "/api/products/search", {}, '{"q": "kettle"}'),
    ("POST", "/1/indexes/*/queries", {}, '{"requests": []}'),
    ("POST", "/index/_search", {}, '{"query": {"match_all": {}}}'),
    ("POST", "/wp-admin/admin-ajax.php", FORM, "action=search_products&s=kettle"),
    ("POST", "/graphql", {}, graphql("query Find { products { id } }")),
    ("POST", "/graphql", {}, graphql("{ products { id } }")),
    ("POST", "/graphql", {}, f"[{graphql('{ a }')},{graphql('{ b }')}]"),
    ("POST", "/rpc", {}, '{"jsonrpc": "2.0", "method": "getProducts", "id": 1}'),
]
ACTS = [
    ("DELETE", "/api/products/1", {}, ""),
    ("PUT", "/api/search", {}, ""),
    ("PATCH", "/api/products/1", {}, "{}"),
    ("POST", "/api/products", {}, '{"name": "kettle"}'),
    ("POST", "/api/cart", {}, "{}"),
    ("POST", "/collect", {}, "x"),
    ("GET", "/logout", {}, ""),
    ("GET", "/products/1/delete", {}, ""),
    ("GET", "/index.php?action=delete&id=1", {}, ""),
    ("POST", "/api/search", {"x-http-method-override": "DELETE"}, "{}"),
    ("GET", "/api/search", {"x-http-method-override": "DELETE"}, ""),
    ("POST", "/wp-admin/admin-ajax.php", FORM, "action=add_to_cart&id=1"),
    ("POST", "/search", FORM, "_method=delete&id=1"),
    ("POST", "/search?action=delete", {}, ""),
    ("POST", "/graphql", {}, graphql("mutation { deleteProduct(id: 1) }")),
    ("POST", "/graphql", {}, graphql("query { a } mutation B { b }", operationName="B")),
    ("POST", "/graphql", {}, f"[{graphql('{ a }')},{graphql('mutation { b }')}]"),
    ("POST", "/graphql", {}, graphql("subscription { a }")),
    ("POST", "/graphql", {}, graphql("{ not graphql")),
    ("POST", "/graphql", {}, '{"operationName": "AddToCart", "extensions": {"persistedQuery": {"sha256Hash": "x"}}}'),
    ("POST", "/rpc", {}, '{"jsonrpc": "2.0", "method": "deleteProduct", "id": 1}'),
    ("POST", "/rpc", {}, '[{"method": "getProducts"}, {"method": "deleteProduct"}]'),
    ("POST", "/api/search", {}, "\x00\x01 no JSON"),
    ("LOCK", "/api/search", {}, ""),
    ("POST", "/api/search", {"content-type": "application/json"}, ""),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), QUESTIONS)
def test_questions_may_leave(method: str, path: str, headers: dict[str, str], body: str) -> None:
    assert is_query(method, URL + path, headers=headers, body=body)


@pytest.mark.parametrize(("method", "path", "headers", "body"), ACTS)
def test_whatever_may_change_something_stays(method: str, path: str, headers: dict[str, str], body: str) -> None:
    assert not is_query(method, URL + path, headers=headers, body=body)


@given(st.sampled_from(["PUT", "PATCH", "DELETE", "MERGE", "MKCOL"]), st.text(), st.text())
def test_no_words_make_an_unsafe_method_a_question(method: str, path: str, body: str) -> None:
    assert not is_query(method, f"{URL}/search/{path}", headers={}, body=body)


@given(st.text(), st.text(), st.binary())
def test_any_request_is_judged(method: str, path: str, body: bytes) -> None:
    """Nothing that a page sends makes the judge fail."""
    assert is_query(method, URL + path, headers=FORM, body=body.decode("latin-1")) in (True, False)
    assert is_query("POST", "http://[" + path, headers={}, body="") is False
