"""Documents of a site, fetched without a browser: each once, and not without end."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from tasks.core.egress.clients import GuardedClient
from tasks.core.errors import EgressRefused, TooLarge, Transient
from tasks.discovery.engine.document_links import header_links
from tasks.discovery.engine.running.sessions import SignedIn
from tasks.discovery.engine.site import Document

MAX_DOCUMENTS = 80
MAX_DOCUMENT_BYTES = 8 * 2**20
REQUEST_LIMIT_S = 15.0
# For all documents of a discovery together; well-known places are asked for on sites that answer slowly, too.
TOTAL_LIMIT_S = 90.0

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml", "application/javascript")
_TEXT_ENDINGS = ("+json", "+xml", "+yaml", "/yaml", "/x-yaml", "/x-javascript", "/graphql")


class SiteFetch:
    """Implements ``engine.site.Fetch`` and ``PostJSON`` on a guarded client. From any thread, one request at a time.

    Args:
        signed_in: adds the cookies of a sign-in to what is asked of its site.
    """

    def __init__(
        self,
        client: GuardedClient,
        *,
        signed_in: SignedIn | None = None,
        checkpoint: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        total_limit_s: float = TOTAL_LIMIT_S,
    ) -> None:
        self._client = client
        if signed_in is not None:
            client.event_hooks = {"request": [signed_in]}
        self._checkpoint = checkpoint
        self._clock = clock
        self._left_s = total_limit_s
        self._known: dict[tuple[str, ...], Document | None] = {}
        self._lock = threading.Lock()

    def __call__(self, url: str, *, accept: str = "*/*") -> Document | None:
        """See ``engine.site.Fetch``."""
        address = url.partition("#")[0]
        return self._once((address, accept), lambda: self._client.get(address, headers={"Accept": accept}))

    def post_json(self, url: str, payload: Any, *, accept: str = "application/json") -> Document | None:
        """See ``engine.site.PostJSON``."""

        def send() -> httpx.Response:
            return self._client.post(url, json=payload, headers={"Accept": accept}, follow_redirects=False)

        return self._once((url, accept, json.dumps(payload, sort_keys=True)), send)

    def _once(self, key: tuple[str, ...], send: Callable[[], httpx.Response]) -> Document | None:
        with self._lock:
            if key not in self._known:
                if len(self._known) >= MAX_DOCUMENTS or self._left_s <= 0:
                    return None
                self._checkpoint()
                began = self._clock()
                try:
                    self._known[key] = _document(send)
                finally:
                    self._left_s -= self._clock() - began
            return self._known[key]


def _document(send: Callable[[], httpx.Response]) -> Document | None:
    try:
        answer = send()
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        text = answer.text if _is_text(media_type, answer.content) else ""
    except (EgressRefused, TooLarge, Transient, httpx.HTTPError, httpx.InvalidURL):
        return None
    except LookupError:  # a charset that Python does not know
        text = answer.content.decode("utf-8", errors="replace")
    url = str(answer.url)
    links = header_links(answer.headers.get("link", ""), base=url)
    return Document(url=url, status=answer.status_code, media_type=media_type, text=text, links=links)


def _is_text(media_type: str, content: bytes) -> bool:
    if media_type.startswith(_TEXT_TYPES) or media_type.endswith(_TEXT_ENDINGS):
        return True
    return media_type in {"", "application/octet-stream"} and b"\0" not in content[:4096]
