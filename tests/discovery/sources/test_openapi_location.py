"""Where descriptions of APIs are found, in the pages of real documentation tools."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.sources.openapi.location import CATALOG_PATH, MAX_FETCHES, USUAL_PATHS, find_specifications
from tests.discovery.sources.sites import ORIGIN, Documents, site_of

SPEC = json.dumps({"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {}}}}})
OTHER = json.dumps({"swagger": "2.0", "paths": {"/b": {"get": {"responses": {}}}}})
PAGES = {
    "fastapi": """<div id="swagger-ui"></div><script src="https://cdn.example/swagger-ui-bundle.js"></script>
        <script>const ui = SwaggerUIBundle({ url: '/hidden/spec-1', dom_id: '#swagger-ui' })</script>""",
    "swagger ui": """<script>window.ui = SwaggerUIBundle({
        urls: [{"url": "/hidden/spec-1", "name": "one"}], "deepLinking": true})</script>""",
    "httpbin": """<script>window.onload = function () { fetch("/hidden/spec-1").then(function (r) {
        SwaggerUIBundle({ spec: json }) }) }</script>""",
    "redoc": "<redoc spec-url='/hidden/spec-1'></redoc><script src=/redoc.standalone.js></script>",
    "redoc by script": "<div id=r></div><script>Redoc.init('/hidden/spec-1', {}, document.body)</script>",
    "scalar": '<script id="api-reference" data-url="/hidden/spec-1"></script>',
    "scalar by configuration": """<script id="api-reference"
        data-configuration='{"spec":{"url":"\\/hidden\\/spec-1"}}'></script>""",
    "scalar by script": "<script>Scalar.createApiReference('#app', { url: '/hidden/spec-1' })</script>",
    "rapidoc": "<rapi-doc spec-url = '/hidden/spec-1'></rapi-doc>",
    "stoplight": "<elements-api apiDescriptionUrl='/hidden/spec-1' router=hash></elements-api>",
    "django-ninja": """<script type="application/json" id="swagger-settings">{"url": "/hidden/spec-1"}</script>
        <div id="swagger-ui"></div>""",
    "service-desc": "<link rel=service-desc href=/hidden/spec-1>",
    "held in the page": f'<script id="api-reference" type="application/json">{SPEC}</script>',
}


def found(html: str, documents: dict[str, Any] | None = None) -> list[str]:
    return [spec.url for spec in find_specifications(site_of(html, documents or {"/hidden/spec-1": SPEC}))]


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES.keys())
def test_a_documentation_page_leads_to_its_description(html: str) -> None:
    """As each tool documents how it is told where that is."""
    assert 1 == len(found(html))


def test_the_separate_script_of_swagger_ui_is_read() -> None:
    """Since version 4, its page configures nothing itself."""
    page = '<div id="swagger-ui"></div><script src="./swagger-initializer.js" charset="UTF-8"></script>'
    script = 'window.ui = SwaggerUIBundle({ configUrl: "/v3/swagger-config", dom_id: "#swagger-ui" });'
    config = json.dumps({"urls": [{"url": "/hidden/1", "name": "a"}, {"url": "/hidden/2", "name": "b"}]})
    documents = {"/swagger-initializer.js": script, "/v3/swagger-config": config, "/hidden/1": SPEC, "/hidden/2": OTHER}
    assert [f"{ORIGIN}/hidden/1", f"{ORIGIN}/hidden/2"] == found(page, documents)


def test_a_linked_documentation_page_is_visited() -> None:
    """Where the pages that were seen say nothing themselves."""
    documents = {"/docs": ("text/html", PAGES["fastapi"]), "/hidden/spec-1": SPEC}
    assert [f"{ORIGIN}/hidden/spec-1"] == found("<a href=/docs>API docs</a>", documents)
    assert [f"{ORIGIN}/files/openapi-v2.yaml"] == found(
        "<a href='/files/openapi-v2.yaml'>Download</a>", {"/files/openapi-v2.yaml": "openapi: 3.1.0\npaths: {}\n"}
    )


def test_a_catalogue_names_descriptions() -> None:
    """RFC 9727, its example of appendix A.1 with other hosts."""
    linkset = {
        "linkset": [
            {
                "anchor": f"{ORIGIN}/apis/foo_api",
                "service-desc": [{"href": f"{ORIGIN}/apis/foo_api/spec", "type": "application/yaml"}],
                "status": [{"href": f"{ORIGIN}/apis/foo_api/status"}],
            },
            {"anchor": f"{ORIGIN}/apis/bar", "service-desc": [{"href": "/apis/bar/spec"}, 7, {"href": None}]},
        ]
    }
    documents = {CATALOG_PATH: json.dumps(linkset), "/apis/foo_api/spec": SPEC, "/apis/bar/spec": OTHER}
    assert [f"{ORIGIN}/apis/foo_api/spec", f"{ORIGIN}/apis/bar/spec"] == found("<p>", documents)


def test_usual_paths_are_tried_in_order_until_one_answers() -> None:
    """And none where the pages or the catalogue said it already. A page of HTML for everything is no description."""
    documents = {
        USUAL_PATHS[0]: ("text/html", "<!DOCTYPE html><p>Welcome"),
        USUAL_PATHS[2]: SPEC,
        USUAL_PATHS[3]: OTHER,
    }
    site = site_of("<p>", documents)
    assert [ORIGIN + USUAL_PATHS[2]] == [spec.url for spec in find_specifications(site)]
    assert isinstance(site.fetch, Documents)
    assert [ORIGIN + path for path in (CATALOG_PATH, *USUAL_PATHS[:3])] == site.fetch.asked


def test_the_same_description_at_two_addresses_counts_once() -> None:
    """As frameworks serve it under several names."""
    page = "<link rel=service-desc href=/a><link rel=service-desc href=/b><link rel=service-desc href=/c>"
    assert 2 == len(found(page, {"/a": SPEC, "/b": SPEC, "/c": OTHER}))


def test_private_hosts_are_not_asked_and_requests_are_few() -> None:
    """However much a page names."""
    links = "".join(f"<link rel=service-desc href=/none{i}>" for i in range(200))
    site = site_of("<link rel=service-desc href=https://10.0.0.1/openapi.json>" + links)
    assert [] == find_specifications(site)
    assert isinstance(site.fetch, Documents)
    assert not any("10.0.0.1" in url for url in site.fetch.asked)
    assert len(site.fetch.asked) <= MAX_FETCHES


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "openapi: 3.0.0", "openapi: 4.0\npaths: {}", '{"swagger": "1.2", "paths": {}}'),
        *('{"openapi": "3.0.0", "paths": []}', "<html>openapi: 3.0.0", "a: &a [*a]", "{"),
    ],
)
def test_other_documents_are_no_descriptions(text: str) -> None:
    """A version that is known, and paths."""
    assert [] == found("<p>", {"/openapi.json": text})


@given(st.text(max_size=200), st.text("<>scriptredoc url:'\"{}/=-swaggerjson", max_size=200))
def test_any_page_and_catalogue_is_searched(catalogue: str, html: str) -> None:
    """Nothing makes it fail."""
    assert [] == found(f"<script>swagger {html}", {CATALOG_PATH: catalogue})


def test_a_header_leads_to_the_description() -> None:
    """That of the page, without a word of it in the text."""
    site = site_of("<p>Hello", {"/hidden/spec-1": SPEC}, link_header='</hidden/spec-1>; rel="service-desc"')
    assert [f"{ORIGIN}/hidden/spec-1"] == [spec.url for spec in find_specifications(site)]


@pytest.mark.parametrize(
    "root",
    [
        {"_links": {"self": {"href": "/api"}, "service-desc": {"href": "/hidden/spec-1"}}},
        {"links": [{"rel": "service-desc", "href": "/hidden/spec-1"}]},
    ],
)
def test_the_root_of_an_api_leads_to_its_description(root: dict[str, Any]) -> None:
    """As HAL, or as a list of links: JSON that is no description itself."""
    assert [f"{ORIGIN}/hidden/spec-1"] == found(
        "<a href=/api>Our API</a>", {"/api": json.dumps(root), "/hidden/spec-1": SPEC}
    )
