"""An OpenAPI or Swagger document, and what its references name, in it or in documents beside it."""

from collections.abc import Callable
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from tasks.discovery.engine.sources.reach import is_other_host
from tasks.discovery.engine.sources.schema_keywords import absolute_reference

MAX_BESIDE = 10
_MAX_HOPS = 8

Load = Callable[[str], dict[str, Any] | None]


class Specification:
    """A document at ``url``; ``load`` reads the documents beside it that it refers to."""

    def __init__(self, raw: dict[str, Any], *, url: str, load: Load) -> None:
        self.raw = raw
        self.url = url
        self._load = load
        self._known = {url}
        self._registry: Registry[Any] = Registry().with_resource(url, Resource.opaque(raw))

    @property
    def is_swagger(self) -> bool:
        """Whether it is Swagger 2.0 rather than OpenAPI 3."""
        return "openapi" not in self.raw

    def resolve(self, uri: str) -> Any:
        """Return what the absolute address names, None if there is nothing."""
        document = uri.partition("#")[0]
        if document not in self._known and not self._add(document):
            return None
        try:
            return self._registry.resolver(base_uri=document).lookup(uri).contents
        except (Unresolvable, ValueError, TypeError, LookupError, AttributeError):
            return None

    def follow(self, value: Any, *, base: str) -> tuple[dict[str, Any], str]:
        """Return the object that the value is or refers to, and the address of its document; empty if none."""
        for _ in range(_MAX_HOPS):
            if not isinstance(value, dict):
                return {}, base
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value, base
            uri = absolute_reference(reference, base=base)
            value, base = self.resolve(uri), uri.partition("#")[0]
        return {}, base

    def _add(self, document: str) -> bool:
        if len(self._known) > MAX_BESIDE or is_other_host(document, site=self.url):
            return False
        self._known.add(document)
        raw = self._load(document)
        if raw is not None:
            self._registry = self._registry.with_resource(document, Resource.opaque(raw))
        return raw is not None


def is_specification(raw: dict[str, Any] | None) -> bool:
    """Whether a document says that it is OpenAPI 3 or Swagger 2, and has paths."""
    if raw is None or not isinstance(raw.get("paths"), dict):
        return False
    return str(raw.get("openapi", "")).startswith("3.") or str(raw.get("swagger", "")).startswith("2.")


def text_of(raw: dict[str, Any], key: str) -> str:
    """Return the text at ``key``, in one line; empty if there is none."""
    value = raw.get(key)
    return " ".join(value[:4000].split()) if isinstance(value, str) else ""


def object_of(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at ``key``, an empty one if there is none."""
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def list_of(raw: dict[str, Any], key: str) -> list[Any]:
    """Return the list at ``key``, an empty one if there is none."""
    value = raw.get(key)
    return value if isinstance(value, list) else []
