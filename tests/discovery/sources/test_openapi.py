"""OpenAPI and Swagger documents, of installed software and written here, become requests."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.discovery.engine.sources.openapi import find_tools
from tasks.discovery.tool import Effect, Place, RequestCall, Tool
from tests.discovery.sources.sites import ORIGIN, site_of
from tests.discovery.sources.valid import check_tools

# The well-known example, as its Swagger 2.0 document has it, shortened.
PETSTORE = {
    "swagger": "2.0",
    "info": {"title": "Petstore", "version": "1.0.7"},
    "host": "shop.example",
    "basePath": "/v2",
    "schemes": ["https", "http"],
    "paths": {
        "/pet": {
            "post": {
                "operationId": "addPet",
                "summary": "Add a new pet to the store",
                "consumes": ["application/json", "application/xml"],
                "produces": ["application/json"],
                "parameters": [
                    {"in": "body", "name": "body", "required": True, "schema": {"$ref": "#/definitions/Pet"}}
                ],
                "responses": {"405": {"description": "Invalid input"}},
                "security": [{"petstore_auth": ["write:pets"]}],
            }
        },
        "/pet/findByStatus": {
            "get": {
                "operationId": "findPetsByStatus",
                "summary": "Finds Pets by status",
                "produces": ["application/json"],
                "parameters": [
                    {
                        "name": "status",
                        "in": "query",
                        "required": True,
                        "type": "array",
                        "items": {"type": "string", "enum": ["available", "sold"], "default": "available"},
                        "collectionFormat": "multi",
                    }
                ],
                "responses": {
                    "200": {"description": "ok", "schema": {"type": "array", "items": {"$ref": "#/definitions/Pet"}}}
                },
            }
        },
        "/pet/{petId}": {
            "delete": {
                "operationId": "deletePet",
                "parameters": [
                    {"name": "api_key", "in": "header", "required": False, "type": "string"},
                    {"name": "petId", "in": "path", "required": True, "type": "integer", "format": "int64"},
                ],
                "responses": {"404": {"description": "Pet not found"}},
            }
        },
        "/pet/{petId}/uploadImage": {
            "post": {
                "operationId": "uploadFile",
                "consumes": ["multipart/form-data"],
                "parameters": [
                    {"name": "petId", "in": "path", "required": True, "type": "integer"},
                    {"name": "additionalMetadata", "in": "formData", "type": "string"},
                    {"name": "file", "in": "formData", "type": "file", "required": True},
                ],
                "responses": {"200": {"description": "ok"}},
            }
        },
    },
    "securityDefinitions": {
        "petstore_auth": {"type": "oauth2", "flow": "implicit", "authorizationUrl": "https://x", "scopes": {}},
        "api_key": {"type": "apiKey", "name": "api_key", "in": "header"},
    },
    "definitions": {
        "Pet": {
            "type": "object",
            "required": ["name", "photoUrls"],
            "properties": {
                "id": {"type": "integer", "format": "int64", "readOnly": True},
                "name": {"type": "string", "example": "doggie"},
                "photoUrls": {"type": "array", "items": {"type": "string"}},
                "parent": {"$ref": "#/definitions/Pet"},
            },
        }
    },
}
# Each thing once that OpenAPI 3 can say about inputs.
EVERYTHING = """
openapi: 3.0.3
info: {title: Everything, version: 1}
servers:
  - url: "{scheme}://{host}/api/{version}/"
    variables:
      scheme: {default: https}
      host: {default: shop.example}
      version: {default: v1, enum: [v1, v2]}
components:
  parameters:
    Limit:
      {name: limit, in: query, description: How many, schema: {type: integer, minimum: 1, nullable: true}, example: 5}
  securitySchemes:
    token: {type: http, scheme: bearer}
    key: {type: apiKey, in: query, name: k}
  schemas:
    Base: {type: object, required: [id], properties: {id: {type: string}}}
paths:
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: array, items: {type: integer}}, style: label, explode: true}
    get:
      parameters:
        - $ref: '#/components/parameters/Limit'
        - {name: filter, in: query, style: deepObject, schema: {type: object, properties: {color: {type: string}}}}
        - {name: ids, in: query, style: pipeDelimited, explode: false, schema: {type: array, items: {type: string}}}
        - {name: shape, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: theme, in: cookie, schema: {type: string, enum: [dark, light]}}
        - {name: Authorization, in: header, schema: {type: string}}
        - {name: k, in: query, schema: {type: string}}
      responses: {200: {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Base'}}}}}
      security: [{token: []}, {key: []}]
    post:
      operationId: replace thing!
      requestBody:
        required: true
        content:
          application/json:
            schema:
              allOf:
                - $ref: '#/components/schemas/Base'
                - type: object
                  required: [a/b]
                  properties: {a/b: {type: string, format: date}, password: {type: string, default: x}}
      responses: {default: {description: ok}}
  /notes:
    post:
      deprecated: true
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [title], properties: {title: {type: string}, body: {type: string}}}
      responses: {201: {description: ok}}
    put:
      requestBody:
        required: true
        content: {application/json: {schema: {oneOf: [{type: string}, {type: array, items: {}}]}, example: hello}}
      responses: {204: {description: ok}}
  /login:
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              required: [user]
              properties: {user: {type: string}, pass: {type: string, format: password}}
      responses: {200: {description: ok}}
  /raw:
    put:
      requestBody: {required: true, content: {image/png: {schema: {type: string, format: binary}}}}
      responses: {200: {description: ok}}
    trace: {responses: {}}
"""
SMALL = {"openapi": "3.1.0", "paths": {"/items": {"get": {"operationId": "listItems", "responses": {}}}}}


def tools_of(document: Any, *, path: str = "/openapi.json", origin: str = ORIGIN) -> dict[str, Tool]:
    text = document if isinstance(document, str) else json.dumps(document)
    tools = find_tools(site_of(documents={path: text}, origin=origin))
    check_tools(tools)
    return {tool.name: tool for tool in tools}


def request(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


def slots(tool: Tool) -> dict[str, tuple[Place, str, str, bool]]:
    return {slot.input: (slot.place, slot.name, slot.style, slot.explode) for slot in request(tool).slots}


def with_servers(*urls: str) -> dict[str, Any]:
    return {**SMALL, "servers": [{"url": url} for url in urls]}


def test_the_petstore_becomes_its_operations() -> None:
    """Swagger 2.0: host and base path, arrays, bodies, files; each with what it does."""
    tools = tools_of(PETSTORE)
    assert {
        "addPet": Effect.WRITE,
        "findPetsByStatus": Effect.READ,
        "deletePet": Effect.DESTROY,
        "uploadFile": Effect.WRITE,
    } == {name: tool.effect for name, tool in tools.items()}
    find = tools["findPetsByStatus"]
    assert f"{ORIGIN}/v2/pet/findByStatus" == request(find).url
    assert {"status": (Place.QUERY, "status", "form", True)} == slots(find)
    assert "array" == find.output_schema["type"]
    assert (("accept", "application/json"),) == request(find).headers


def test_members_of_a_body_are_inputs_without_what_only_the_answer_holds() -> None:
    """The ID is the server's; a pet's parent is a pet."""
    add = tools_of(PETSTORE)["addPet"]
    assert {"name", "photoUrls", "parent"} == set(slots(add))
    assert ["name", "photoUrls"] == add.input_schema["required"]
    assert ["/name", "/photoUrls", "/parent"] == [slot.pointer for slot in request(add).slots]
    assert {"$ref": "#/$defs/Pet"} == add.input_schema["properties"]["parent"]
    assert "Needs a credential: OAuth 2" in add.evidence


def test_a_file_is_sent_as_a_part_of_a_form() -> None:
    """Marked as files of HTML forms are."""
    upload = tools_of(PETSTORE)["uploadFile"]
    assert "multipart/form-data" == request(upload).media_type
    assert "file" == upload.input_schema["properties"]["file"]["x-control"]
    assert ["petId", "file"] == upload.input_schema["required"]


def test_credentials_are_evidence_and_never_inputs() -> None:
    """Neither what a security scheme names nor what is called like a key."""
    tools = tools_of(PETSTORE)
    assert {"petId"} == set(slots(tools["deletePet"]))
    assert "Needs a credential: header api_key" in tools["deletePet"].evidence
    read = tools_of(EVERYTHING)["get_things_id"]
    assert not {"k", "Authorization"} & set(slots(read))
    assert "Needs a credential: HTTP bearer or key in the query k" in read.evidence
    assert read.prior < tools["findPetsByStatus"].prior


def test_every_kind_of_parameter_has_its_place_and_style() -> None:
    """With the defaults of OpenAPI 3 where the document says nothing."""
    read = tools_of(EVERYTHING)["get_things_id"]
    assert f"{ORIGIN}/api/v1/things/{{id}}" == request(read).url
    assert {
        "id": (Place.PATH, "id", "label", True),
        "limit": (Place.QUERY, "limit", "form", True),
        "filter": (Place.QUERY, "filter", "deepObject", True),
        "ids": (Place.QUERY, "ids", "pipeDelimited", False),
        "shape": (Place.QUERY, "shape", "form", True),
        "X-Trace": (Place.HEADER, "X-Trace", "simple", False),
        "theme": (Place.COOKIE, "theme", "form", True),
    } == slots(read)
    properties = read.input_schema["properties"]
    assert ["integer", "null"] == properties["limit"]["type"]
    assert "How many" == properties["limit"]["description"]
    assert ("string", "application/json") == (properties["shape"]["type"], properties["shape"]["contentMediaType"])


def test_colliding_inputs_are_told_apart_and_parts_of_allof_put_together() -> None:
    """The path's ID keeps its name, the body's says where it goes; a password is marked and has no default."""
    write = tools_of(EVERYTHING)["replace_thing"]
    assert {"id", "json_id", "a/b", "password"} == set(slots(write))
    assert {"/id", "/a~1b", "/password"} == {slot.pointer for slot in request(write).slots} - {""}
    assert ["id", "json_id", "a/b"] == write.input_schema["required"]
    password = write.input_schema["properties"]["password"]
    assert {"type": "string", "format": "password", "writeOnly": True} == password


def test_an_optional_body_is_whole_or_not_there() -> None:
    """Its required members are required as soon as one of them is sent."""
    note = tools_of(EVERYTHING)["post_notes"]
    assert "required" not in note.input_schema
    assert {"title": ["title"], "body": ["title"]} == note.input_schema["dependentRequired"]
    assert request(note).body is None
    assert "Marked as deprecated" in note.evidence


def test_a_body_that_is_no_plain_object_is_one_input() -> None:
    """With its example; bytes are base64."""
    tools = tools_of(EVERYTHING)
    assert {"body": (Place.BODY, "body", "", True)} == slots(tools["put_notes"])
    assert ({"body": "hello"},) == tools["put_notes"].examples
    assert "base64" == tools["put_raw"].input_schema["properties"]["body"]["contentEncoding"]
    assert "image/png" == request(tools["put_raw"]).media_type


def test_a_login_is_a_form_with_a_marked_password() -> None:
    """Form-encoded; signing in writes."""
    login = tools_of(EVERYTHING)["post_login"]
    assert {Place.FORM} == {slot.place for slot in request(login).slots}
    assert "password" == login.input_schema["properties"]["pass"]["format"]


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ((), f"{ORIGIN}/items"),
        (("/api/v3",), f"{ORIGIN}/api/v3/items"),
        (("v3/",), f"{ORIGIN}/v3/items"),
        (("https://other.example", ORIGIN), f"{ORIGIN}/items"),
        (("https://api.shop.example/v1",), "https://api.shop.example/v1/items"),
        (("http://shop.example",), f"{ORIGIN}/items"),  # behind a proxy, unaware of its own https
    ],
)
def test_servers_are_relative_to_the_document_and_best_on_its_own_host(servers: tuple[str, ...], url: str) -> None:
    """Another host only where the document names no other server."""
    (tool,) = tools_of(with_servers(*servers)).values()
    assert url == request(tool).url
    assert ("api.shop" in url) == any("another host" in line for line in tool.evidence)


@pytest.mark.parametrize(
    "server",
    [
        *("http://other.example", "http://localhost:8000", "https://127.0.0.1/", "https://intranet/", "https://[::1]/"),
        *("ftp://shop.example/", "https://user:pw@shop.example/", "https://{anywhere}/", "javascript:alert(1)"),
        *("https://printer.local/", "https://169.254.169.254/latest"),
    ],
)
def test_servers_that_nobody_would_expect_are_refused(server: str) -> None:
    """Leaving encryption, private networks, credentials in the address, holes in it."""
    assert {} == tools_of(with_servers(server))


def test_a_site_on_a_private_host_may_use_it() -> None:
    """The port speaks the scheme that the document came by, whatever the document says."""
    document = {**SMALL, "swagger": "2.0", "schemes": ["https"], "host": "127.0.0.1:8080"}
    del document["openapi"]
    (tool,) = tools_of(document, origin="http://127.0.0.1:8080").values()
    assert "http://127.0.0.1:8080/items" == request(tool).url


def test_a_header_of_the_connection_is_nobodys_to_set() -> None:
    """Optional, it is left out; required, the operation is."""
    parameters = [{"name": "Host", "in": "header"}, {"name": "X\r\nEvil", "in": "header"}]
    document = {**SMALL, "paths": {"/a": {"get": {"parameters": parameters}}}}
    assert [{}] == [slots(tool) for tool in tools_of(document).values()]
    parameters[0]["required"] = True
    assert {} == tools_of(document)


def test_references_into_documents_beside_it_are_followed_on_the_same_host() -> None:
    """A description may be split into files."""
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/a": {"$ref": "parts/paths.json#/a"},
            "/b": {"$ref": "https://elsewhere.example/paths.json#/b"},
        },
    }
    item = {"get": {"operationId": "a", "parameters": [{"name": "q", "in": "query", "schema": {"$ref": "#/text"}}]}}
    site = site_of(
        documents={
            "/openapi.json": json.dumps(document),
            "/parts/paths.json": json.dumps({"a": item, "text": {"type": "string"}}),
        }
    )
    (tool,) = find_tools(site)
    assert {"type": "string"} == tool.input_schema["properties"]["q"]
    assert not any("elsewhere" in url for url in site.fetch.asked)


def test_wagtails_description_is_read_whole() -> None:
    """OpenAPI 3.1 as django-ninja writes it: 37 paths with cyclic schemas."""
    spec = find_spec("wagtail")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "api/v3/tests/snapshots/openapi.json").read_text()
    tools = tools_of(text)
    operations = [
        m for item in json.loads(text)["paths"].values() for m in item if m in ("get", "post", "put", "patch", "delete")
    ]
    assert len(operations) == len(tools)
    assert Effect.DESTROY == tools["pages_actions_delete"].effect
    assert {"search", "limit", "offset"} < set(tools["pages_list"].input_schema["properties"])
    assert max(len(json.dumps(tool.input_schema)) for tool in tools.values()) < 100_000


_FRONT_DOOR = """
from app.factory import create_app
from app.services import services_of
from tasks.core.settings import load_settings
app = create_app(load_settings())
print(app.test_client().get("/openapi/openapi.json").text)
services_of(app).close()
"""


def test_our_own_front_door_is_read_whole(tmp_path: Path) -> None:
    """OpenAPI 3.1 as flask-openapi3 writes it; what deletes is told from what does not."""
    env = os.environ | {"SWITCHYARD_STATE_DIR": str(tmp_path), "SWITCHYARD_LOG_LEVEL": "error"}
    built = subprocess.run([sys.executable, "-c", _FRONT_DOOR], env=env, capture_output=True, text=True, check=True)
    document = next(line for line in built.stdout.splitlines() if line.startswith("{"))
    tools = tools_of(document, path="/openapi/openapi.json")
    by_call = {(request(tool).method, request(tool).url.removeprefix(ORIGIN)): tool for tool in tools.values()}
    assert len(by_call) > 30
    assert Effect.READ == by_call["GET", "/api/jobs"].effect
    assert Effect.DESTROY == by_call["DELETE", "/api/jobs/{job_id}"].effect
    assert "Needs a credential: HTTP bearer" in by_call["GET", "/api/jobs"].evidence


def large() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for number in range(1000):
        thing = {"$ref": f"#/components/schemas/Thing{number}"}
        others = {f"p{k}": {"$ref": f"#/components/schemas/Thing{(number * k + 1) % 1000}"} for k in range(3, 9)}
        schemas[f"Thing{number}"] = {"type": "object", "properties": {"name": {"type": "string"}, **others}}
        answer = {"200": {"description": "ok", "content": {"application/json": {"schema": thing}}}}
        body = {"required": True, "content": {"application/json": {"schema": thing}}}
        paths[f"/things{number}"] = {"get": {"responses": answer}, "post": {"requestBody": body, "responses": answer}}
        paths[f"/more{number}"] = {"get": {"responses": answer}}
    return {"openapi": "3.0.0", "paths": paths, "components": {"schemas": schemas}}


def test_a_specification_of_thousands_of_operations_stays_small() -> None:
    """Every schema reaches every other; the tools together are a few times the document."""
    text = json.dumps(large())
    tools = find_tools(site_of(documents={"/openapi.json": text}))
    assert 2000 == len(tools)
    check_tools(tools[::200])
    assert sum(len(tool.model_dump_json()) for tool in tools) < 30_000_000


KEYS = (
    *("get", "post", "parameters", "name", "in", "schema", "requestBody", "content", "application/json", "responses"),
    *("200", "$ref", "servers", "url", "security", "operationId", "required", "properties", "style", "type", "allOf"),
    *("/a/{id}", "example", "host", "basePath", "schemes", "consumes", "formData", "collectionFormat", "variables"),
)
VALUES = st.sampled_from(
    [
        *("query", "path", "header", "id", "#/paths", "#/paths/~1", "object", "array", "/", "{x}", "a b"),
        *("\ud800", "\x00", None, True, 0, -1.5),
    ]
)
JUNK = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["/a", "/a/{id}", "/{id}/{id}", "//x", "/?a=b&c", "x"]), JUNK), JUNK, st.booleans()
)
def test_any_document_gives_valid_tools_or_none(paths: dict[str, Any], rest: Any, is_swagger: bool) -> None:
    """Every key may hold anything."""
    more = {"servers": rest, "components": rest, "definitions": rest, "security": rest, "parameters": rest}
    tools_of({**({"swagger": "2.0"} if is_swagger else {"openapi": "3.0.0"}), "paths": paths, **more})


@settings(max_examples=100)
@given(JUNK, JUNK, st.sampled_from(["query", "path", "body", "formData", "cookie"]))
def test_any_parameter_and_body_gives_valid_tools_or_none(schema: Any, body: Any, place: str) -> None:
    """Where the operation itself is well-formed."""
    operation = {
        "parameters": [{"name": "id", "in": place, "schema": schema, "example": body}],
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"200": {"content": {"application/json": {"schema": schema}}, "schema": body}},
    }
    tools_of({"openapi": "3.0.0", "paths": {"/a/{id}": {"post": operation}}})
    tools_of({"swagger": "2.0", "paths": {"/a/{id}": {"post": operation}}})
