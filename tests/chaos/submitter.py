"""Asks for jobs over HTTP, and notes exactly what it was told."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.family.contract import EFFECT

_LIMIT_S = 30.0
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """One submission that was answered with 202: ``key`` is its idempotency key and its reference."""

    id: str
    key: str
    at: float


def _reason(answer: httpx.Response) -> str:
    asks_to_wait = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return str(answer.status_code) + (" without Retry-After" * (asks_to_wait and "Retry-After" not in answer.headers))


@dataclass(slots=True)
class Submitter:
    """Submits until it is told 202, with the same idempotency key; a share of all submissions is sent again.

    Args:
        resend_every: each so manieth submission is sent a second time after it was accepted, as a client does that
            never saw the answer; 0: none.
    """

    url: str
    headers: Mapping[str, str]
    sink: str
    prefix: str
    resend_every: int = 10
    kind: str = EFFECT
    told: list[Told] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    """Every answer that was not 202 and every connection that failed, by status or kind of error."""
    answers_s: list[float] = field(default_factory=list)
    """How long each 202 took."""
    two_ids: list[str] = field(default_factory=list)
    """Keys that were answered with two ids."""
    _count: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.url, headers=dict(self.headers), timeout=_LIMIT_S)

    def submit(self, *, options: Mapping[str, Any] | None = None, **request: Any) -> Told:
        """Submit one job and return what was told; ``options`` go beside the request's fields, as ``timeout_s`` does.

        Blocks until a 202 came: the caller bounds its own patience by ``stop``.
        """
        self._count += 1
        key = f"{self.prefix}-{self._count}"
        body = {"params": {"sink": self.sink, **request}, "reference": key, **(options or {})}
        told = self._until_accepted(key, body)
        self.told.append(told)
        if self.resend_every and self._count % self.resend_every == 0:
            again = self._until_accepted(key, body)
            if again.id != told.id:
                self.two_ids.append(key)
        return told

    def submit_many(self, count: int, **request: Any) -> list[Told]:
        """Submit ``count`` jobs, one after another."""
        return [self.submit(**request) for _ in range(count)]

    def resend(self, told: Told, **request: Any) -> None:
        """Send an accepted submission again, with its key and the same body; note it when another id comes back."""
        body = {"params": {"sink": self.sink, **request}, "reference": told.key}
        if self._until_accepted(told.key, body).id != told.id:
            self.two_ids.append(told.key)

    def _until_accepted(self, key: str, body: Mapping[str, Any]) -> Told:
        while True:
            began = time.monotonic()
            try:
                answer = self._client.post(f"/api/jobs/{self.kind}", json=body, headers={"Idempotency-Key": key})
            except httpx.HTTPError as exc:
                self.refusals[type(exc).__name__] += 1
            else:
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.answers_s.append(time.monotonic() - began)
                    return Told(answer.json()["id"], key, time.time())
                self.refusals[_reason(answer)] += 1
                if answer.is_client_error:
                    answer.raise_for_status()
            if self._stopping.is_set():
                raise InterruptedError(f"stopped before {key} was accepted: {dict(self.refusals)}")
            time.sleep(_PAUSE_S)

    # ---- a steady stream of jobs, on a thread of its own

    def start(self, *, every_s: float, unless: Callable[[], bool] = lambda: False, **request: Any) -> None:
        """Submit a job every ``every_s`` until ``stop``, but none while ``unless`` holds."""

        def run() -> None:
            due = time.monotonic()
            while not self._stopping.is_set():
                try:
                    if not unless():
                        self.submit(**request)
                except InterruptedError:
                    return
                due = max(due + every_s, time.monotonic() - every_s)
                self._stopping.wait(max(0.0, due - time.monotonic()))

        self._thread = threading.Thread(target=run, name="submitter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the stream of jobs; what was begun is finished, or given up if it is refused."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=_LIMIT_S + 5)
            self._thread = None
        self._stopping.clear()

    def close(self) -> None:
        """Stop and close."""
        self.stop()
        self._client.close()

    @property
    def ids(self) -> list[str]:
        """The ids that were told to be accepted: the oracle's A."""
        return [told.id for told in self.told]
