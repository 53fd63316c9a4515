"""The repeated records in a JSON answer."""

from collections import deque
from typing import Any

MAX_RECORDS = 500
_MAX_DEPTH = 5
_MAX_NODES = 2000
_MIN_SHARE = 0.5

Record = dict[str, Any]


def find_json_records(value: Any) -> list[Record]:
    """Return the array of objects that the answer is about, at most 500 of them; empty where there is none.

    The shallowest level that has one decides, and there the longest array. Tables of ``columns`` and ``rows`` become
    objects, and the edges of a GraphQL connection their nodes.
    """
    level: deque[Any] = deque([value])
    nodes = 0
    for _ in range(_MAX_DEPTH):
        found = max((_records(node) for node in level), key=len, default=[])
        if found:
            return found[:MAX_RECORDS]
        below: deque[Any] = deque()
        for node in level:
            children = node.values() if isinstance(node, dict) else ()
            nodes += len(children)
            if nodes > _MAX_NODES:
                return []
            below.extend(child for child in children if isinstance(child, dict | list))
        level = below
    return []


def _records(node: Any) -> list[Record]:
    if isinstance(node, dict):
        return _table(node)
    if not isinstance(node, list) or not node:
        return []
    objects = [each for each in node if isinstance(each, dict)]
    if len(objects) < _MIN_SHARE * len(node):
        return []
    if all(isinstance(each.get("node"), dict) for each in objects):
        return [each["node"] for each in objects]
    return objects


def _table(node: dict[str, Any]) -> list[Record]:
    columns, rows = node.get("columns"), node.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list) or not all(isinstance(c, str) for c in columns):
        return []
    if not rows or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        return []
    return [dict(zip(columns, row, strict=True)) for row in rows]
