"""Documents of a site, fetched without a browser: each once, and not without end."""

import threading
import time
from collections.abc import Callable

import httpx

from tasks.core.egress.clients import GuardedClient
from tasks.core.errors import EgressRefused, TooLarge, Transient
from tasks.discovery.engine.site import Document

MAX_DOCUMENTS = 80
MAX_DOCUMENT_BYTES = 8 * 2**20
REQUEST_LIMIT_S = 15.0
# For all documents of a discovery together; well-known places are asked for on sites that answer slowly, too.
TOTAL_LIMIT_S = 90.0

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml", "application/javascript")
_TEXT_ENDINGS = ("+json", "+xml", "+yaml", "/yaml", "/x-yaml", "/x-javascript", "/graphql")


class SiteFetch:
    """Implements ``engine.site.Fetch`` on a guarded client. From any thread, one request at a time."""

    def __init__(
        self,
        client: GuardedClient,
        *,
        checkpoint: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        total_limit_s: float = TOTAL_LIMIT_S,
    ) -> None:
        self._client = client
        self._checkpoint = checkpoint
        self._clock = clock
        self._left_s = total_limit_s
        self._known: dict[tuple[str, str], Document | None] = {}
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many documents were asked for."""
        return len(self._known)

    def __call__(self, url: str, *, accept: str = "*/*") -> Document | None:
        """See ``engine.site.Fetch``."""
        key = (url.partition("#")[0], accept)
        with self._lock:
            if key in self._known:
                return self._known[key]
            if len(self._known) >= MAX_DOCUMENTS or self._left_s <= 0:
                return None
            self._checkpoint()
            began = self._clock()
            try:
                found = self._fetch(*key)
            finally:
                self._left_s -= self._clock() - began
            self._known[key] = found
            return found

    def _fetch(self, url: str, accept: str) -> Document | None:
        try:
            answer = self._client.get(url, headers={"Accept": accept})
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            text = answer.text if _is_text(media_type, answer.content) else ""
        except (EgressRefused, TooLarge, Transient, httpx.HTTPError, httpx.InvalidURL):
            return None
        except LookupError:  # a charset that Python does not know
            text = answer.content.decode("utf-8", errors="replace")
        return Document(url=str(answer.url), status=answer.status_code, media_type=media_type, text=text)


def _is_text(media_type: str, content: bytes) -> bool:
    if media_type.startswith(_TEXT_TYPES) or media_type.endswith(_TEXT_ENDINGS):
        return True
    return media_type in {"", "application/octet-stream"} and b"\0" not in content[:4096]
