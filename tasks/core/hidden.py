"""Texts that may be shown nowhere, struck from whatever is told."""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Self
from urllib.parse import quote, quote_plus

_STRUCK = "***"


@dataclass(frozen=True, slots=True)
class Hidden:
    """The values that may be shown nowhere, in every way that they are written in a request."""

    spellings: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Iterable[str]) -> Self:
        """Hide ``values``, however URLs, forms, JSON, HTML or basic sign-ins spell them."""
        spellings = {spelled for value in values if value for spelled in _spelled(value)}
        return cls(tuple(sorted(spellings, key=lambda spelling: (-len(spelling), spelling))))

    def struck_from(self, text: str) -> str:
        """Return the text with three asterisks for each of them."""
        for spelling in self.spellings:
            text = text.replace(spelling, _STRUCK)
        return text

    def struck_from_bytes(self, content: bytes) -> bytes:
        """Return the content, whatever it is, with three asterisks for each of them in UTF-8."""
        for spelling in self.spellings:
            content = content.replace(spelling.encode(), _STRUCK.encode())
        return content


def _spelled(value: str) -> Iterator[str]:
    yield from (value, quote(value, safe=""), quote_plus(value, safe="*"))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], escape(value))
    yield base64.b64encode(value.encode()).decode()
