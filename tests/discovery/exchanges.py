"""Exchanges and sites written by hand."""

import json
from typing import Any

from tasks.discovery.engine.page import Page
from tasks.discovery.engine.site import Document, Exchange, PostJSON, Site, Snapshot

ORIGIN = "https://shop.example"
JSON = {"content-type": "application/json"}


def asked(url: str, answer: Any = None, *, method: str = "GET", body: Any = "", **more: Any) -> Exchange:
    """An exchange with the shop; ``answer`` and ``body`` are written as JSON unless they are text."""
    headers = more.pop("headers", JSON if body and not isinstance(body, str) else {})
    return Exchange(
        method=method,
        url=f"{ORIGIN}{url}" if url.startswith("/") else url,
        request_headers=headers,
        request_body=body if isinstance(body, str) else json.dumps(body),
        status=more.pop("status", 200),
        media_type=more.pop("media_type", "application/json"),
        response_text=answer if isinstance(answer, str) else json.dumps(answer),
        **more,
    )


def site_of(*exchanges: Exchange, page: Page | None = None, post_json: PostJSON | None = None) -> Site:
    """A site of one page that asked for ``exchanges``."""
    page = page or Page(url=f"{ORIGIN}/", base_url=f"{ORIGIN}/")
    return Site(ORIGIN, (Snapshot(page=page, html="", exchanges=exchanges),), _nothing, post_json)


def _nothing(url: str, *, accept: str = "*/*") -> Document | None:
    return None
