"""Sends the calls of a configuration: through the egress guard, within its limits, telling no secret."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from tasks.connectors.connector import Connector
from tasks.connectors.engine.pointer import found_at
from tasks.connectors.service import Call
from tasks.connectors.template import Scope, filled, filled_path, filled_texts
from tasks.core.errors import InputRejected, Permanent, Transient
from tasks.core.job import JobContext
from tasks.core.loop_thread import LoopThread

UNREACHABLE = "remote_unreachable"
UNAVAILABLE = "remote_unavailable"
REFUSED = "remote_refused"
NOT_FOUND = "remote_not_found"
_CLEANUP_S = 0.5
_MAX_SHOWN_CHARS = 300
# Answers that another try may change: RFC 9110 (408, 5xx), RFC 8470 (425), RFC 6585 (429).
_PASSING = frozenset({408, 425, 429})
_MAX_RETRY_AFTER_S = 300.0


@dataclass(frozen=True, slots=True)
class Request:
    """A call with everything filled in. Its parts may hold secrets, so no ``repr`` shows them."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    query: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered, as it came: secrets are struck where it is told."""

    status: int
    media_type: str
    content: bytes = field(repr=False)
    retry_after_s: float = 0.0

    def document(self) -> Any:
        """Return it as JSON.

        Raises:
            Permanent: it is none.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as exc:
            raise Permanent("The service's answer is no JSON.", code="remote_unreadable") from exc

    def at(self, pointer: str) -> Any:
        """Return what is at a JSON pointer of it, or ``MISSING``.

        Raises:
            Permanent: it is no JSON.
        """
        return found_at(pointer, self.document())


class Wire:
    """One job's connection to a service. Its requests are sent in a thread, so that a cancel is heard meanwhile."""

    def __init__(self, connector: Connector, job: JobContext) -> None:
        self.hidden = connector.hidden()
        self._service = connector.over_http()
        self._secrets = connector.secrets
        self._job = job
        self._client = job.http.async_client(max_bytes=self._service.max_bytes, total_timeout_s=self._service.timeout_s)
        self._loop = LoopThread("connector")

    def prepare(self, call: Call, *, given: Mapping[str, Any], remote: Mapping[str, str]) -> Request:
        """Return a call with its templates filled.

        Raises:
            InputRejected: a value is missing, or does not fit where it is to stand.
        """
        scope = {"input": given, "remote": remote, "secret": self._secrets, "job": {"id": self._job.id}}
        headers = filled_headers({**self._service.headers, **call.headers}, scope)
        query = filled_texts(call.query, scope)
        return Request(call.method, self._url(call.path, scope), headers, query, filled(call.body, scope))

    def send(
        self, request: Request, *, meanwhile: Callable[[], None] | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Send a request and return its answer, a good one.

        Args:
            meanwhile: called ten times a second; what it raises ends the request. By default the job's checkpoint.
            timeout_s: for the whole of it; by default the configuration's.
        Raises:
            EgressRefused: the address is not allowed.
            TooLarge: the answer is over the configuration's ``max_bytes``.
            Transient: there was no answer, or one that may be another in a while.
            Permanent: the service refused, or wants to be asked elsewhere.
        """
        meanwhile = meanwhile or self._job.checkpoint
        return self._judged(self._loop.run(self._sent(request, timeout_s), meanwhile=meanwhile, cleanup_s=_CLEANUP_S))

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._client.aclose(), cleanup_s=_CLEANUP_S)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _url(self, path: str, scope: Scope) -> str:
        base = self._service.base_url
        if path.startswith("/"):
            return base.rstrip("/") + filled_path(path, scope)
        # An address that the service gave. It gets our secrets, so it must be the service's own.
        url = urljoin(base, str(filled(path, scope)))
        if urlsplit(url)[:2] != urlsplit(base)[:2]:
            raise Permanent(
                "The service named an address on another server, which would get its secrets.", code="remote_unreadable"
            )
        return url

    async def _sent(self, request: Request, timeout_s: float | None) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.request(
                    request.method,
                    str(httpx.URL(request.url).copy_merge_params(request.query)),
                    headers=request.headers,
                    json=request.body,
                    # Where a redirect leads, what signs us in does not belong.
                    follow_redirects=False,
                )
        # The errors' own words may hold what was sent.
        except httpx.InvalidURL:
            raise Permanent("The service named an address that is none.", code="remote_unreadable") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Transient(f"The service is not there: {type(exc).__name__}.", code=UNREACHABLE) from None
        except (httpx.HTTPError, TimeoutError) as exc:
            raise Transient(f"The service gave no answer: {type(exc).__name__}.", code=UNAVAILABLE) from None
        media_type = response.headers.get("content-type", "application/octet-stream").partition(";")[0].strip()
        after = response.headers.get("retry-after", "")
        retry_after_s = min(float(after), _MAX_RETRY_AFTER_S) if after.isascii() and after.isdecimal() else 0.0
        return Answer(response.status_code, media_type.lower()[:200], response.content, retry_after_s)

    def _judged(self, answer: Answer) -> Answer:
        if 200 <= answer.status < 300:
            return answer
        shown = " ".join(self.hidden.struck_from(answer.content.decode("utf-8", "replace")).split())[:_MAX_SHOWN_CHARS]
        if is_passing(answer.status):
            raise Transient(f"The service answered {answer.status}: {shown}", code=UNAVAILABLE)
        if 300 <= answer.status < 400:
            raise Permanent(
                f"The service answered {answer.status}, a redirect, which connectors do not follow: name the address "
                "that it leads to.",
                code=REFUSED,
            )
        code = NOT_FOUND if answer.status in {404, 410} else REFUSED
        raise Permanent(f"The service answered {answer.status}: {shown}", code=code)


def filled_headers(template: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """Return headers with the values in place.

    Raises:
        InputRejected: a value is missing, or cannot be in a header.
    """
    headers = filled_texts(template, scope)
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise InputRejected(f"The header {name} would not be printable ASCII.", field="input")
    return headers


def is_passing(status: int) -> bool:
    """Whether another try may have another answer than this one."""
    return status in _PASSING or status >= 500
