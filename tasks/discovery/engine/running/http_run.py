"""Running a tool as a plain HTTP request.

Redirects, cookies, Origin and Referer are a browser's: Fetch standard, 4.4 (HTTP-redirect fetch) and 3.1 (Origin);
Referrer Policy, strict-origin-when-cross-origin.
"""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from tasks.core.egress.clients import GuardedClient
from tasks.core.egress.targets import normalize_url
from tasks.core.errors import Permanent, Transient
from tasks.core.job import JobContext
from tasks.discovery.engine.answers import Answer, decode, media_type_of
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.outputs import read_outcome
from tasks.discovery.engine.running.encoding import WireRequest, form_request
from tasks.discovery.engine.running.filling import Arguments, fill
from tasks.discovery.engine.running.parameters import call_request
from tasks.discovery.engine.running.sent import described, hidden_in
from tasks.discovery.engine.running.sessions import StorageState, cookie, cookie_jar
from tasks.discovery.engine.running.tokens import refreshed
from tasks.discovery.tool import FormCall, RequestCall, Tool

TOTAL_LIMIT_S = 60.0
MAX_BYTES = 16 * 1024 * 1024
MAX_REDIRECTS = 10

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
_ACCEPT_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_ACCEPT_DATA = "application/json, */*;q=0.8"
_LANGUAGE = "en-US"


class HTTPRuns:
    """Runs tools with one client; each run begins with the cookies of the session and none else."""

    def __init__(self, job: JobContext, *, session: StorageState | None = None) -> None:
        self._job = job
        self._session = session
        self._client: GuardedClient | None = None

    def run(self, tool: Tool, arguments: Arguments) -> Outcome:
        """Send the tool's request and read the answer.

        Raises:
            InputRejected: an argument cannot be sent.
            EgressRefused, TooLarge: of the way out.
            Transient: no answer, or not in time.
            Permanent: the tool needs a browser, or its page no longer has the form.
        """
        began = time.monotonic()
        client = self._fresh_client()
        match tool.call:
            case RequestCall() as call:
                prepared = call_request(call, arguments, schema=tool.input_schema)
                request, page_url, accept = prepared.request, tool.found_on, _ACCEPT_DATA
                self._add_cookies(prepared.cookies, request.url)
            case FormCall() as form:
                request, accept = self._form(client, form, arguments, schema=tool.input_schema), _ACCEPT_PAGE
                page_url = form.frame_url or form.page_url
            case other:
                raise Permanent(f"A tool of the kind {other.kind!r} runs in a browser: allow it.")
        answer = self._send(client, request, page_url=page_url, accept=accept)
        hidden = hidden_in(tool, arguments)
        return read_outcome(
            Answer(answer.status, hidden.struck_from(answer.url), answer.media_type, answer.text),
            backend="http",
            took_s=time.monotonic() - began,
            sent=described(request, hidden),
        )

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()

    def _fresh_client(self) -> GuardedClient:
        if self._client is None:
            self._client = self._job.http.client(
                total_timeout_s=TOTAL_LIMIT_S, max_bytes=MAX_BYTES, max_redirects=MAX_REDIRECTS
            )
        self._client.cookies = httpx.Cookies(cookie_jar(self._session))
        return self._client

    def _add_cookies(self, cookies: dict[str, str], url: str) -> None:
        if self._client is not None:
            for name, value in cookies.items():
                self._client.cookies.jar.set_cookie(cookie(name, value, host=urlsplit(url).hostname or ""))

    def _form(
        self, client: GuardedClient, call: FormCall, arguments: Arguments, *, schema: dict[str, Any]
    ) -> WireRequest:
        if call.needs_page or any(field.is_token for field in call.fields):
            url = call.frame_url or call.page_url
            answer = self._send(client, WireRequest("GET", url), page_url="", accept=_ACCEPT_PAGE)
            if answer.status >= 400:
                raise Transient(f"The page with the form answered {answer.status}.")
            call = refreshed(call, read_page(answer.text, url=answer.url))
        return form_request(call, fill(call, arguments, schema=schema))

    def _send(self, client: GuardedClient, request: WireRequest, *, page_url: str, accept: str) -> Answer:
        """Send the request and follow its redirects as a browser does."""
        headers = httpx.Headers({"Accept": accept, "Accept-Language": _LANGUAGE})
        headers.update(list(request.headers))
        method, url, body = request.method, request.url, request.body
        for _ in range(MAX_REDIRECTS + 1):
            self._job.checkpoint()
            response = self._exchange(
                client, method, url, body=body, headers=_with_origin(headers, method, url, page_url)
            )
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return _answer(response)
            target = normalize_url(location, base=str(response.url))
            if target is None:
                raise Permanent(f"The site redirects to {location[:100]!r}, which is no address.")
            if _becomes_get(response.status_code, method):
                method, body = "GET", b""
                headers = httpx.Headers([pair for pair in headers.multi_items() if pair[0] not in _BODY_HEADERS])
            if _origin(target) != _origin(url):
                headers.pop("Authorization", None)
            url = target
        raise Permanent(f"More than {MAX_REDIRECTS} redirects.")

    def _exchange(
        self, client: GuardedClient, method: str, url: str, *, body: bytes, headers: httpx.Headers
    ) -> httpx.Response:
        try:
            prepared = client.build_request(method, url, content=body or None, headers=headers)
            return client.send(prepared, follow_redirects=False)
        except httpx.TimeoutException as exc:
            raise Transient(f"{urlsplit(url).netloc} did not answer in time ({method}).") from exc
        except httpx.TransportError as exc:
            raise Transient(f"{urlsplit(url).netloc} could not be reached ({method}): {exc}") from exc
        except httpx.DecodingError as exc:
            raise Permanent(f"{urlsplit(url).netloc} answered what cannot be read: {exc}") from exc
        except httpx.InvalidURL as exc:
            raise Permanent(f"{url[:100]!r} is no address that can be asked.") from exc


def _answer(response: httpx.Response) -> Answer:
    content_type = response.headers.get("content-type", "")
    text = decode(response.content, content_type)
    return Answer(response.status_code, str(response.url), media_type_of(content_type), text)


def _becomes_get(status: int, method: str) -> bool:
    return (status in (301, 302) and method == "POST") or (status == 303 and method not in _SAFE)


def _with_origin(headers: httpx.Headers, method: str, url: str, page_url: str) -> httpx.Headers:
    """Add what the page that sends the request says of itself."""
    if not page_url:
        return headers
    page, added = urlsplit(page_url), headers.copy()
    if method not in _SAFE:
        added.setdefault("Origin", _origin(page_url))
    if page.scheme == "https" and urlsplit(url).scheme == "http":
        return added
    is_same = _origin(url) == _origin(page_url)
    added.setdefault("Referer", page_url.partition("#")[0] if is_same else f"{_origin(page_url)}/")
    return added


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
