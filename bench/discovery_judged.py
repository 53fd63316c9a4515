"""What a person says of the tools that discovery finds on the targets: whether each is what it says.

``tests/acceptance/targets/judged/NAME.toml``; tests/acceptance/targets/README.md has the rule.
"""

import tomllib
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from bench.discovery_targets import as_request
from tasks.discovery.tool import Tool

FOLDER = Path(__file__).parents[1] / "tests" / "acceptance" / "targets" / "judged"


def key_of(tool: Tool) -> str:
    """Return what names a tool in the lists: what it is called, and what it asks for."""
    request = as_request(tool)
    if request is None:
        return f"{tool.name} @ {urlsplit(tool.found_on).path}"
    return f"{tool.name} {request['method']} {urlsplit(request['url']).path}"


def is_right(target: str, tool: Tool) -> bool | None:
    """Whether a person found that the tool is what it says; None where nobody has judged it."""
    right, wrong = _judged(target)
    key = key_of(tool)
    return True if key in right else False if key in wrong else None


@cache
def _judged(target: str) -> tuple[frozenset[str], frozenset[str]]:
    path = FOLDER / f"{target}.toml"
    if not path.is_file():
        return frozenset(), frozenset()
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return frozenset(document["right"]), frozenset(one["tool"] for one in document["wrong"])
