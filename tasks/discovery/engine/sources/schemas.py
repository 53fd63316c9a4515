"""Schemas of a stranger's document with what they refer to: written out where that is short, else as ``$defs``.

Cycles and large parts stay references into ``$defs``, save circles that never go down into the value
(``schema_cycles``); so a schema grows with the document that it is taken from, never with the number of ways through
it. Past ``max_total`` values, the parts farthest away allow anything.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tasks.discovery.engine.schema import DIALECT
from tasks.discovery.engine.sources.schema_cycles import opened
from tasks.discovery.engine.sources.schema_keywords import Reading, Reference
from tasks.discovery.tool import JSONSchema

# Values in a part that is written out wherever it is referred to.
MAX_INLINE = 120
MAX_INLINE_DEPTH = 12
# Values in a part with all that is written out in it.
MAX_WRITTEN_OUT = 600
MAX_TOTAL = 1500
MAX_PARTS = 5000
# Parts that are written out within each other; Python allows a thousand calls.
_MAX_CHAIN = 4

Resolve = Callable[[str], Any]


@dataclass(slots=True)
class Part:
    """A schema with short references written out; ``needs`` are the names in ``$defs`` that it still refers to."""

    schema: Any
    count: int
    depth: int = 0
    needs: set[str] = field(default_factory=set)


class Schemas:
    """Reads the schemas of one document; ``resolve`` gives what an address in it names, None if nothing."""

    def __init__(self, resolve: Resolve, *, is_answer: bool = False, max_total: int = MAX_TOTAL) -> None:
        self._max_total = max_total
        self._resolve = resolve
        self._is_answer = is_answer
        # By address: as read, and with short references written out.
        self._read: dict[str, Part] = {}
        self._parts: dict[str, Part] = {}
        self._names: dict[str, str] = {}
        self._uris: dict[str, str] = {}

    def schema(self, raw: Any, *, base: str = "") -> JSONSchema:
        """Return a schema of 2020-12 that stands by itself."""
        reading = self._reading(raw, base=base)
        if isinstance(reading.schema, Reference):
            # However large: readers want to see the type of the whole.
            part = self._part_of(reading.schema.uri, chain=())
            beside = reading.schema.beside
        else:
            part = self._written_out(reading, chain=())
            beside = {}
        schema = part.schema if isinstance(part.schema, dict) else ({} if part.schema else {"not": {}})
        return self.complete(schema | beside, part)

    def part(self, raw: Any, *, base: str = "") -> Part:
        """Return a schema whose references into ``$defs`` are still to be ``complete``d; ``base`` is its document."""
        return self._written_out(self._reading(raw, base=base), chain=())

    def complete(self, schema: JSONSchema, *parts: Part) -> JSONSchema:
        """Return the schema, made of the parts, with its dialect and all that it refers to."""
        needs = sorted(set().union(*(part.needs for part in parts)))
        total = sum(part.count for part in parts)
        definitions: dict[str, Any] = {}
        while needs:
            name = needs.pop(0)
            if name in definitions:
                continue
            part = self._part_of(self._uris[name], chain=())
            total += part.count
            if total > self._max_total:
                definitions[name] = {"description": "Not described further."}
                continue
            definitions[name] = part.schema
            needs += sorted(part.needs - definitions.keys())
        whole = {"$schema": DIALECT, **schema}
        if definitions:
            whole, definitions = copy.deepcopy(whole), copy.deepcopy(definitions)
            opened(whole, definitions)
        return whole | {"$defs": definitions} if definitions else whole

    def _reading(self, raw: Any, *, base: str) -> Part:
        reading = Reading(is_answer=self._is_answer, base=base)
        return Part(reading.read(raw), reading.count)

    def _part_of(self, uri: str, *, chain: tuple[str, ...]) -> Part:
        if uri not in self._parts:
            if uri not in self._read:
                raw = self._resolve(uri) if len(self._read) < MAX_PARTS else None
                self._read[uri] = self._reading(raw, base=uri.partition("#")[0])
            self._parts[uri] = self._written_out(self._read[uri], chain=(*chain, uri))
        return self._parts[uri]

    def _written_out(self, read: Part, *, chain: tuple[str, ...]) -> Part:
        part = Part(None, 0)
        part.schema = self._walk(read.schema, part, chain, depth=1)
        return part

    def _walk(self, node: Any, part: Part, chain: tuple[str, ...], *, depth: int) -> Any:
        part.count += 1
        part.depth = max(part.depth, depth)
        if isinstance(node, Reference):
            return self._referred(node, part, chain, depth=depth)
        if isinstance(node, dict):
            return {key: self._walk(item, part, chain, depth=depth + 1) for key, item in node.items()}
        if isinstance(node, list):
            return [self._walk(item, part, chain, depth=depth + 1) for item in node]
        return node

    def _referred(self, reference: Reference, part: Part, chain: tuple[str, ...], *, depth: int) -> Any:
        uri, name = reference.uri, self._name(reference.uri)
        if uri not in chain and len(chain) < _MAX_CHAIN:
            other = self._part_of(uri, chain=chain)
            is_short = other.count <= MAX_INLINE and other.depth <= MAX_INLINE_DEPTH
            is_short = is_short and part.count + other.count <= MAX_WRITTEN_OUT
            if is_short and name not in other.needs and isinstance(other.schema, dict):
                part.count += other.count
                part.depth = max(part.depth, depth + other.depth)
                part.needs |= other.needs
                return other.schema | reference.beside
        part.needs.add(name)
        return {"$ref": f"#/$defs/{name}", **reference.beside}

    def _name(self, uri: str) -> str:
        if uri not in self._names:
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", uri.rsplit("/", 1)[-1])[:80].strip("_") or "part"
            unique, count = name, 1
            while unique in self._uris:
                count += 1
                unique = f"{name}_{count}"
            self._names[uri], self._uris[unique] = unique, uri
        return self._names[uri]
