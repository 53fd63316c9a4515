"""How a description says that the members of a form body are written.

Source: OpenAPI 3.1.1, 4.8.15 (Encoding Object); Swagger 2.0, Parameter Object (``collectionFormat``).
"""

import re
from dataclasses import dataclass
from typing import Any

_STYLES = frozenset({"form", "spaceDelimited", "pipeDelimited", "deepObject"})
_COLLECTED = {"ssv": "spaceDelimited", "pipes": "pipeDelimited"}
# One type, without parameters: several, or a range, leave it to what the value is.
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one member of a form is written. An empty ``style`` leaves it to the type of the value."""

    style: str = ""
    explode: bool = True
    media_type: str = ""


def encoding_of(raw: Any) -> Encoding:
    """Return what an Encoding Object says; a style of its own wins over the media type."""
    said = raw if isinstance(raw, dict) else {}
    style = str(said.get("style", "form" if {"explode", "allowReserved"} & said.keys() else ""))
    if style in _STYLES:
        explode = said.get("explode")
        return Encoding(style, explode=explode if isinstance(explode, bool) else style == "form")
    media_type = str(said.get("contentType", "")).partition(";")[0].strip().lower()
    return Encoding(media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else "")


def collected(raw: dict[str, Any]) -> Encoding:
    """Return how Swagger 2.0 writes a list in a form: joined by commas, unless it says otherwise."""
    collection = str(raw.get("collectionFormat", "csv"))
    return Encoding(_COLLECTED.get(collection, "form"), explode=collection == "multi")
