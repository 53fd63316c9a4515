"""Exports are judged by others: the SDK's types, the OpenAPI validator, the interpreter and ruff."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import mcp_types
import pytest
from openapi_spec_validator import validate

from tasks.discovery.exports.exported import Exported, output_of, output_schema_of, split_confirmation
from tasks.discovery.exports.functions import function_of
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.exports.openapi import openapi_document
from tasks.discovery.exports.python_module import identifier, python_module
from tasks.discovery.tool import Effect, FormCall, FormField, RequestCall, Step, StepsCall, Tool
from tests.discovery.tools import SITE, a_tool

ID = "01890000-0000-7000-8000-000000000000"
AWKWARD = {
    "type": "object",
    "properties": {
        "filter[price]": {"type": "integer"},
        "filter(price)": {"type": "number"},
        "class": {"type": "string"},
        "2nd": {"type": "boolean"},
        "größe": {"type": "array", "items": {"enum": ["S", "M"]}},
        'quo"te\\': {"enum": ["a'b", 'c"d', "e\\f"]},
        "client": {"type": ["string", "null"]},
        "": {"type": "object"},
    },
    "required": ["class", "filter[price]"],
}


def exported(tool: Tool | None = None) -> Exported:
    return Exported(ID, 3, "active", tool or a_tool())


def destructive(**changes: Any) -> Exported:
    return exported(a_tool("close_account", effect=Effect.DESTROY, **changes))


def test_an_mcp_tool_is_one() -> None:
    """The SDK's own model takes it; hints and provenance are there."""
    shown = exported_mcp_tool(exported())
    tool = mcp_types.Tool.model_validate(shown)
    assert ("shop_example__search_products", "Search products") == (tool.name, tool.title)
    assert tool.annotations is not None
    hints = tool.annotations
    assert (True, False, True, True) == (
        hints.read_only_hint,
        hints.destructive_hint,
        hints.idempotent_hint,
        hints.open_world_hint,
    )
    meta = shown["_meta"]
    expected = {"site": SITE, "source": "form", "confidence": 0.9, "id": ID, "version": 3, "status": "active"}
    assert expected == {name: meta[f"switchyard/{name}"] for name in expected}
    assert [{"act": "request", "method": "GET", "url": f"{SITE}/search"}] == meta["switchyard/steps"]
    jsonschema.Draft202012Validator.check_schema(shown["inputSchema"])


def test_no_secret_leaves() -> None:
    """Neither tokens, cookies, headers and hidden values, nor what steps type, nor a password's default."""
    secret = "s3cr3t"
    schema = {"type": "object", "properties": {"pw": {"type": "string", "format": "password", "default": secret}}}
    calls = [
        RequestCall(url=f"{SITE}/a", headers=(("authorization", secret),), query=(("key", secret),), body=secret),
        FormCall(page_url=SITE, url=SITE, fields=(FormField(name="csrf", type="hidden", value=secret),)),
        StepsCall(page_url=SITE, steps=(Step(act="input", text=secret, selectors=("#pw",)),)),
    ]
    for call in calls:
        one = exported(a_tool(call=call, input_schema=schema))
        document = openapi_document([one], server_url="http://x.example")
        forms = [exported_mcp_tool(one), function_of(one), document, python_module([one])]
        leaks = [form for form in forms if secret in json.dumps(form)]
        assert [] == leaks[:1]


def test_names_are_unique_and_steady() -> None:
    """By site, within what models take for a function's name."""
    sites = ["https://a.example", "http://a.example", "https://a.example:8443", "https://b.example"]
    names = [exported(a_tool("x" * 100, site=site)).name for site in sites]
    assert 4 == len(set(names))
    assert {64} == {len(name) for name in names}
    assert "shop_example__search" == exported(a_tool("search")).name
    assert "a_example_8443__x" == exported(a_tool("x", site="https://www.a.example:8443")).name


def test_a_confirmation_is_asked_for() -> None:
    """As an input of what destroys, by a name that the site does not use; it is taken out again."""
    schema = exported_mcp_tool(destructive())["inputSchema"]
    assert (True, ["q", "confirm"]) == (schema["properties"]["confirm"]["const"], schema["required"])
    taken = {"type": "object", "properties": {"confirm": {"type": "string"}}}
    other = destructive(input_schema=taken)
    assert ["confirm_run"] == exported_mcp_tool(other)["inputSchema"]["required"]
    assert ({"confirm": "x"}, True) == split_confirmation(other.tool, {"confirm": "x", "confirm_run": True})
    assert ({"q": "x"}, False) == split_confirmation(destructive().tool, {"q": "x", "confirm": "true"})
    assert ({"confirm": True}, False) == split_confirmation(a_tool(), {"confirm": True})
    assert "confirm" not in a_tool().input_schema["properties"]


def test_outputs_are_objects() -> None:
    """MCP wants an object: a list is put under `result`."""
    rows = {"type": "array", "items": {"type": "string"}}
    tool = a_tool(output_schema=rows)
    schema = output_schema_of(tool)
    assert schema is not None
    jsonschema.validate(output_of(tool, ["a"]), schema)
    plain = a_tool(output_schema={"type": "object"})
    assert ({"type": "object"}, {"a": 1}) == (output_schema_of(plain), output_of(plain, {"a": 1}))
    assert (None, ["a"]) == (output_schema_of(a_tool()), output_of(a_tool(), ["a"]))


def test_an_openapi_document_is_valid() -> None:
    """With awkward names, definitions of its own, and confirmations."""
    recursive = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}, "default": {"$ref": "#"}, "x": {"const": {"$ref": "#"}}},
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    tools = [
        exported(),
        Exported(ID.replace("1", "2"), 1, "active", a_tool("b", input_schema=AWKWARD)),
        Exported(ID.replace("1", "3"), 1, "active", a_tool("c", input_schema=recursive, output_schema=recursive)),
        Exported(ID.replace("1", "4"), 1, "active", a_tool("d", effect=Effect.DESTROY)),
    ]
    document = openapi_document(tools, server_url="https://switchyard.example")
    validate(document)
    assert [f"/api/tools/{one.id}/run" for one in tools] == list(document["paths"])
    body = document["paths"][f"/api/tools/{tools[3].id}/run"]["post"]["requestBody"]["content"]["application/json"]
    assert ["arguments", "confirm"] == body["schema"]["required"]
    arguments = document["components"]["schemas"][body["schema"]["properties"]["arguments"]["$ref"].rpartition("/")[2]]
    assert {"q", "sort"} == set(arguments["properties"])
    moved = document["components"]["schemas"]["shop_example__c"]["properties"]
    assert "#/components/schemas/shop_example__c" == moved["default"]["$ref"]
    assert "#" == moved["x"]["const"]["$ref"]


def test_a_function_says_what_it_takes() -> None:
    """In the form of chat models."""
    one = function_of(exported())
    assert ("function", "shop_example__search_products") == (one["type"], one["function"]["name"])
    assert {"q", "sort"} == set(one["function"]["parameters"]["properties"])
    awkward = function_of(exported(a_tool("x" * 100, input_schema=AWKWARD)))["function"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", awkward["name"])
    for parameters in (one["function"]["parameters"], awkward["parameters"]):
        jsonschema.Draft202012Validator.check_schema(parameters)
        assert "object" == parameters["type"]
    assert one["function"]["description"].startswith("Search the catalogue of the shop.")


class Recorder:
    """Stands for the client's ``tools``."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.tools = self

    def run(self, tool_id: str, arguments: dict[str, Any], *, confirm: bool = False) -> str:
        """Note a call."""
        self.calls.append((tool_id, arguments, confirm))
        return "answered"


def test_a_python_module_runs() -> None:
    """Its functions send the inputs by their own names, and leave out what was not given."""
    tools = [exported(), exported(a_tool("awkward", input_schema=AWKWARD)), destructive()]
    module: dict[str, Any] = {}
    exec(compile(python_module(tools), "tools.py", "exec"), module)  # noqa: S102  # it is ours
    client = Recorder()
    assert "answered" == module["shop_example__search_products"](client, q="tea")
    module["shop_example__awkward"](client, class_="x", filter_price=1, filter_price_2=2.5, n2nd=True, client_2="c")
    module["shop_example__close_account"](client, q="tea", confirm=True)
    assert [
        (ID, {"q": "tea"}, False),
        (ID, {"class": "x", "filter[price]": 1, "filter(price)": 2.5, "2nd": True, "client": "c"}, False),
        (ID, {"q": "tea"}, True),
    ] == client.calls
    with pytest.raises(TypeError, match="class_"):
        module["shop_example__awkward"](client)


def test_a_python_module_is_clean(tmp_path: Path) -> None:
    """For ruff and mypy's sake: no unused import, no shadowed name, even where there is no tool."""
    quoting = a_tool("quoting", description='Say "hello" \\ back\nslash', title="é")
    paths = {}
    for name, tools in {
        "all.py": [exported(), exported(a_tool("awkward", input_schema=AWKWARD)), destructive(), exported(quoting)],
        "plain.py": [exported(a_tool(input_schema={"type": "object", "properties": {}}))],
        "none.py": [],
    }.items():
        paths[name] = tmp_path / name
        paths[name].write_text(python_module(tools))
        compile(paths[name].read_text(), name, "exec")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *map(str, paths.values())]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == answer.returncode, answer.stdout


def test_identifiers_are_never_taken_twice() -> None:
    """Whatever a site calls its inputs."""
    taken: set[str] = set()
    made = [identifier(name, taken) for name in ("a-b", "a_b", "a b", "", "class", "match", "1", "é")]
    assert ["a_b", "a_b_2", "a_b_3", "value", "class_", "match_", "n1", "value_2"] == made
    assert all(name.isidentifier() for name in made)
