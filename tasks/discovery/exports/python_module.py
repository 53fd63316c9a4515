"""Tools as a Python module: a typed function for each, which calls the client of this package."""

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tasks.discovery.exports.exported import Exported, confirmation_of, input_schema_of

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}
_FOREIGN = re.compile(r"\W+", re.ASCII)
_MOST_CHOICES = 20
_HEADER = '''"""Tools found on websites, as functions. Made by Switchyard; make it anew rather than change it."""

from typing import Any, Literal

from client import Switchyard
'''


def python_module(tools: Sequence[Exported]) -> str:
    """Return the module's text. Each function takes a ``Switchyard`` and the tool's inputs by keyword."""
    taken: set[str] = {"Any", "Literal", "Switchyard"}
    parts = [_function(one, taken) for one in tools]
    text = "\n\n".join([_HEADER, *parts]) if parts else _HEADER
    if "Literal[" not in text:
        text = text.replace("from typing import Any, Literal", "from typing import Any")
    if not parts:
        text = text[: text.index("\nfrom typing")]
    return text


def identifier(name: str, taken: set[str]) -> str:
    """Return a name for Python that is not yet ``taken``, and take it: ``filter[price]`` becomes ``filter_price``."""
    plain = _FOREIGN.sub("_", name).strip("_").lower() or "value"
    if plain[0].isdecimal() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain):
        plain = f"{plain}_" if plain[0].isalpha() else f"n{plain}"
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    taken.add(found)
    return found


def _function(exported: Exported, taken: set[str]) -> str:
    tool = exported.tool
    names = {"client"}
    confirm = confirmation_of(tool) if exported.is_destructive else None
    schema = input_schema_of(exported)
    required = set(schema.get("required", ()))
    inputs = {name: (identifier(name, names), rules) for name, rules in schema["properties"].items()}
    lines = [f"def {identifier(exported.name, taken)}(", "    client: Switchyard,"]
    if inputs:
        lines.append("    *,")
    ordered = sorted(inputs.items(), key=lambda one: one[0] not in required)
    lines += [f"    {own}: {_annotation(rules, is_required=name in required)}," for name, (own, rules) in ordered]
    lines += [") -> Any:", f"    {_docstring(exported)}"]
    lines += list(_body(exported.id, {name: own for name, (own, _) in inputs.items()}, required, confirm))
    return "\n".join(lines) + "\n"


def _body(tool_id: str, inputs: dict[str, str], required: set[str], confirm: str | None) -> Iterator[str]:
    own = {name: variable for name, variable in inputs.items() if name != confirm}
    yield "    arguments: dict[str, Any] = {"
    yield from (f"        {_text(name)}: {variable}," for name, variable in own.items() if name in required)
    yield "    }"
    for name, variable in own.items():
        if name not in required:
            yield f"    if {variable} is not None:"
            yield f"        arguments[{_text(name)}] = {variable}"
    confirmed = "" if confirm is None else f", confirm={inputs[confirm]}"
    yield f"    return client.tools.run({_text(tool_id)}, arguments{confirmed})"


def _annotation(rules: Any, *, is_required: bool) -> str:
    found = _type(rules if isinstance(rules, dict) else {})
    if is_required:
        return found
    return f"{found} = None" if found.endswith("| None") or found == "None" else f"{found} | None = None"


def _type(rules: dict[str, Any]) -> str:
    choices = [rules["const"]] if "const" in rules else rules.get("enum", [])
    if choices and len(choices) <= _MOST_CHOICES and all(isinstance(one, str | bool | int) for one in choices):
        return f"Literal[{', '.join(_text(one) for one in choices)}]"
    kind = rules.get("type")
    if kind == "array" and isinstance(rules.get("items"), dict):
        return f"list[{_type(rules['items'])}]"
    kinds = kind if isinstance(kind, list) else [kind]
    names = [_TYPES[one] for one in kinds if isinstance(one, str) and one in _TYPES]
    # What may be null says so last, once.
    return " | ".join(sorted(dict.fromkeys(names), key=lambda name: name == "None")) if names else "Any"


def _docstring(exported: Exported) -> str:
    tool = exported.tool
    said = " ".join(f"{tool.words.title or tool.name}. {tool.words.description} ({tool.site})".split())
    return _text(said) if '"' in said or "\\" in said or not said.isprintable() else f'"""{said}"""'


def _text(value: str | bool | int) -> str:
    if not isinstance(value, str):
        return repr(value)
    return '"' + ascii(value)[1:-1].replace('"', '\\"').replace("\\'", "'") + '"'
