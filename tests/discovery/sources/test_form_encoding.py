"""OpenAPI's encoding of form bodies: payments as Stripe describes them, files as document stores do."""

import json
from typing import Any

import pytest

from tasks.discovery.engine.running.multipart_parts import parts
from tasks.discovery.engine.running.parameters import call_request
from tasks.discovery.engine.sources.openapi import find_tools
from tasks.discovery.engine.sources.openapi.form_encoding import Encoding, collected, encoding_of
from tasks.discovery.tool import RequestCall, Tool
from tests.discovery.sources.sites import site_of

PAYMENTS = {
    "openapi": "3.0.0",
    "info": {"title": "Payments", "version": "2020-08-27"},
    "paths": {
        "/v1/customers": {
            "post": {
                "operationId": "PostCustomers",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "encoding": {
                                "address": {"explode": True, "style": "deepObject"},
                                "expand": {"explode": True, "style": "deepObject"},
                                "preferred_locales": {"explode": False, "style": "form"},
                            },
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "email": {"type": "string"},
                                    "expand": {"type": "array", "items": {"type": "string"}},
                                    "address": {"type": "object", "properties": {"city": {"type": "string"}}},
                                    "preferred_locales": {"type": "array", "items": {"type": "string"}},
                                },
                            },
                        }
                    }
                },
                "responses": {"200": {"description": "ok"}},
            }
        },
        "/v1/files": {
            "post": {
                "operationId": "PostFiles",
                "requestBody": {
                    "required": True,
                    "content": {
                        "multipart/form-data": {
                            "encoding": {
                                "metadata": {"contentType": "application/json; charset=utf-8"},
                                "scan": {"contentType": "image/png"},
                                "copy": {"contentType": "image/png, image/jpeg"},
                            },
                            "schema": {
                                "type": "object",
                                "required": ["scan"],
                                "properties": {
                                    "metadata": {"type": "array", "items": {"type": "string"}},
                                    "scan": {"type": "string", "format": "binary"},
                                    "copy": {"type": "string", "format": "binary"},
                                },
                            },
                        }
                    },
                },
                "responses": {"200": {"description": "ok"}},
            }
        },
    },
}


def body_of(tool: Tool, arguments: dict[str, Any]) -> tuple[str, bytes]:
    assert isinstance(tool.call, RequestCall)
    request = call_request(tool.call, arguments, schema=tool.input_schema).request
    return dict(request.headers)["Content-Type"], request.body


@pytest.fixture
def tools() -> dict[str, Tool]:
    return {tool.name: tool for tool in find_tools(site_of("<p>", documents={"/openapi.json": json.dumps(PAYMENTS)}))}


def test_a_form_is_written_as_its_encoding_says(tools: dict[str, Tool]) -> None:
    """Nested names for ``deepObject``, commas where lists do not explode."""
    given = {"email": "a@b.c", "expand": ["x", "y"], "address": {"city": "Ulm"}, "preferred_locales": ["de", "fr"]}
    _, body = body_of(tools["PostCustomers"], given)
    expected = "email=a%40b.c&expand%5B%5D=x&expand%5B%5D=y&address%5Bcity%5D=Ulm&preferred_locales=de%2Cfr"
    assert expected.split("&") == body.decode().split("&")


def test_parts_of_multipart_have_the_types_that_are_said(tools: dict[str, Tool]) -> None:
    """A file of one type has it and is named by it; of several, it is bytes."""
    found = tools["PostFiles"].input_schema["properties"]
    assert "image/png" == found["scan"]["contentMediaType"]
    assert "contentMediaType" not in found["copy"]
    media_type, body = body_of(tools["PostFiles"], {"metadata": ["a"], "scan": "iVBORw=="})
    assert [
        b'Content-Disposition: form-data; name="metadata"\r\nContent-Type: application/json\r\n\r\n["a"]',
        b'Content-Disposition: form-data; name="scan"; filename="upload.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG',
    ] == parts(media_type, body)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, Encoding()),
        ("x", Encoding()),
        ({"contentType": "image/*"}, Encoding()),
        ({"contentType": ["a"]}, Encoding()),
        ({"contentType": "text/x\r\nX: y"}, Encoding()),
        ({"style": "matrix", "contentType": "text/csv"}, Encoding(media_type="text/csv")),
        ({"style": "pipeDelimited"}, Encoding("pipeDelimited", explode=False)),
        ({"explode": False}, Encoding("form", explode=False)),
        ({"allowReserved": True, "contentType": "text/csv"}, Encoding("form", explode=True)),
    ],
)
def test_what_an_encoding_says_is_checked(raw: Any, expected: Encoding) -> None:
    """A style wins over a type; what is malformed says nothing."""
    assert expected == encoding_of(raw)


@pytest.mark.parametrize(
    ("said", "style", "explode"),
    [
        ({}, "form", False),
        ({"collectionFormat": "multi"}, "form", True),
        ({"collectionFormat": "pipes"}, "pipeDelimited", False),
    ],
)
def test_lists_of_swagger_forms_are_joined_unless_they_repeat(said: dict[str, Any], style: str, explode: bool) -> None:
    """By commas, if it does not say."""
    assert Encoding(style, explode=explode) == collected(said)
