"""A tool on its way out: with a name that is unique among a tenant's tools, and what a caller must send."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tasks.discovery.arguments import secret_inputs
from tasks.discovery.tool import Effect, JSONSchema, Tool

# What the common models take for the name of a function.
MOST_NAME_CHARS = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Exported:
    """A tool of the registry, as exports need it."""

    id: str
    version: int
    status: str
    tool: Tool

    @property
    def name(self) -> str:
        """Its name among tools of all sites: ``shop_example__search``. It never changes, whatever else is found."""
        return exported_name(self.tool.site, self.tool.name)

    @property
    def is_destructive(self) -> bool:
        """Whether it runs only with a confirmation."""
        return self.tool.effect is Effect.DESTROY


def exported_name(site: str, tool_name: str) -> str:
    """Return the name of a tool among tools of all sites."""
    name = f"{_slug(site)}__{tool_name}"
    if len(name) <= MOST_NAME_CHARS:
        return name
    return f"{name[: MOST_NAME_CHARS - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def confirmation_of(tool: Tool) -> str:
    """Return the name of the input that confirms a destructive run: ``confirm``, unless the site has one."""
    properties = tool.input_schema.get("properties", {})
    return next(name for name in ("confirm", "confirm_run", "confirm_this_run") if name not in properties)


def arguments_schema_of(tool: Tool) -> JSONSchema:
    """Return the schema of the tool's own arguments, without the defaults of secrets."""
    secrets = secret_inputs(tool.input_schema)
    properties = {
        name: _without_values(rules) if name in secrets else rules
        for name, rules in tool.input_schema.get("properties", {}).items()
    }
    return tool.input_schema | {"type": "object", "properties": properties}


def input_schema_of(exported: Exported) -> JSONSchema:
    """Return the schema of what a caller sends: the arguments and, where one is needed, the confirmation."""
    schema = arguments_schema_of(exported.tool)
    properties: dict[str, Any] = schema["properties"]
    if exported.is_destructive:
        confirm = confirmation_of(exported.tool)
        properties[confirm] = {
            "type": "boolean",
            "const": True,
            "description": "This run deletes something, or changes an account: true if that is meant.",
        }
        schema["required"] = [*schema.get("required", ()), confirm]
    return schema


def split_confirmation(tool: Tool, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the tool's own arguments, and whether the confirmation was among them."""
    if tool.effect is not Effect.DESTROY:
        return arguments, False
    name = confirmation_of(tool)
    return {key: value for key, value in arguments.items() if key != name}, arguments.get(name) is True


def output_schema_of(tool: Tool) -> JSONSchema | None:
    """Return the schema of an object that holds the output: itself, or under ``result`` where it is no object."""
    schema = tool.output_schema
    if not schema or schema.get("type") == "object":
        return schema or None
    return {"type": "object", "properties": {"result": schema}, "required": ["result"]}


def output_of(tool: Tool, value: Any) -> Any:
    """Return an output in the form that ``output_schema_of`` describes."""
    is_wrapped = bool(tool.output_schema) and (tool.output_schema or {}).get("type") != "object"
    return {"result": value} if is_wrapped else value


def _slug(site: str) -> str:
    parts = urlsplit(site)
    text = parts.netloc.rpartition("@")[2] if parts.scheme == "https" else f"{parts.scheme}_{parts.netloc}"
    return _FOREIGN.sub("_", text.removeprefix("www.")).strip("_").lower()


def _without_values(rules: Any) -> Any:
    return {key: value for key, value in rules.items() if key not in {"default", "examples", "const", "enum"}}
