"""Addresses of other people's sites, as requests name them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

_FORBIDDEN = frozenset(chr(code) for code in (*range(33), 127))  # controls and the space


def check_web_url(url: str) -> str:
    """Return ``url`` where it is an http or https address without credentials; where it may lead is egress's question.

    Raises:
        ValueError: it is not.
    """
    if _FORBIDDEN & set(url):
        raise ValueError("url must not contain spaces or control characters; percent-encode them")
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
    except ValueError as exc:
        raise ValueError(f"url cannot be read: {exc}") from exc
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("url must start with http:// or https:// and name a host")
    if user is not None or "@" in parts.netloc:
        raise ValueError("url must not carry a user name or password")
    return url


WebURL = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(check_web_url)]
