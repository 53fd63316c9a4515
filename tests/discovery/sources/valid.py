"""What every tool of every source must be."""

import json
import re
from collections.abc import Iterable

import jsonschema_rs
from jsonschema import Draft202012Validator

from tasks.discovery.tool import Place, RequestCall, Tool

# jsonschema, whose judgement does not depend on the validator that we use ourselves, takes 20 ms for a schema: of many
# tools so many of the first are shown to it, and then every fifth.
_FIRST = 20


def check_tools(tools: Iterable[Tool]) -> None:
    """Every tool has schemas that are valid and stand by themselves, a name of its own, and inputs for its slots."""
    names = []
    for number, tool in enumerate(tools):
        names.append(tool.name.casefold())
        for schema in filter(None, (tool.input_schema, tool.output_schema)):
            jsonschema_rs.Draft202012Validator(schema)
            if number < _FIRST or number % 5 == 0:
                Draft202012Validator.check_schema(schema)
            for name in re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)):
                assert name.removeprefix("#/$defs/") in schema.get("$defs", {}), name
        assert "object" == tool.input_schema["type"]
        if isinstance(tool.call, RequestCall):
            check_call(tool, tool.call)
        for example in tool.examples:
            Draft202012Validator(tool.input_schema).validate(example)
        assert tool == Tool.model_validate_json(tool.model_dump_json())
    assert len(set(names)) == len(names)


def check_call(tool: Tool, call: RequestCall) -> None:
    """Each input goes somewhere, and each placeholder of the address is filled in by a required one."""
    assert {slot.input for slot in call.slots} == set(tool.input_schema["properties"])
    path_inputs = {slot.name: slot.input for slot in call.slots if slot.place is Place.PATH}
    assert set(re.findall(r"\{([^{}/]+)\}", call.url.partition("?")[0])) == set(path_inputs)
    assert set(path_inputs.values()) <= set(tool.input_schema.get("required", ()))
