"""Batches: many jobs in one request, accepted together or not at all, watched and cancelled as one."""

import json
import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from pydantic import Field

from client.calls import Call, parsed
from client.errors import BatchTimedOut
from client.limits import Limits
from client.models import Record
from client.patience import performed
from client.steps import Flow, Pause, Request

T = TypeVar("T")

_PATH = "/api/jobs/batch"
# Between two looks at a batch: soon at first, so that a short one is noticed at once.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_UNDER_WAY = frozenset({"queued", "running"})


class BatchOptions(TypedDict, total=False):
    """What holds for all jobs of a batch."""

    name: str
    """For people."""
    parallel_limit: int
    """At most so many of its jobs are under way at a time."""
    callback: Mapping[str, Any]
    """Where its end is told: ``{"url": …, "events"?: …, "secret"?: …}``."""
    fail_fast: bool
    """Once a job has failed, those that have not ended are cancelled."""
    idempotency_key: str
    """Your own name for this request, kept 24 h; one is made when none is given."""


class Batch(Record):
    """How a batch stands."""

    id: str
    name: str | None = None
    state: str
    """``queued``, ``running``; then ``succeeded``, ``partial``, ``failed`` or ``cancelled``."""
    size: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    parallel_limit: int | None = None
    fail_fast: bool = False
    created_at: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str] = Field(default_factory=dict)
    job_ids: tuple[str, ...] = ()
    """Only after a submit: its jobs, in the order in which they were sent."""
    replayed: bool = False
    """Only after a submit: the idempotency key was known, and this is the batch it made the first time."""

    @property
    def is_terminal(self) -> bool:
        """All of its jobs have ended."""
        return self.state not in _UNDER_WAY


class Run(Protocol):
    """Runs a flow to its end."""

    def __call__(self, flow: Flow[T]) -> T:
        """Run it."""
        ...


class Batches:
    """Your batches; ``Switchyard.batches`` is one. Their jobs: ``Switchyard.jobs(batch=batch.id)``."""

    def __init__(self, run: Run, limits: Limits) -> None:
        self._run = run
        self._limits = limits

    def submit(self, jobs: Iterable[Mapping[str, Any]], **options: Unpack[BatchOptions]) -> Batch:
        """Submit up to 1,000 jobs, each with its ``kind``, ``params`` and whatever else ``submit`` takes.

        Raises:
            InputRejected: a job was refused, and so are all; ``errors`` names each field, such as
                ``jobs.3.params.url``.
        """
        return self._run(performed(sent(list(jobs), options), self._limits))

    def get(self, batch_id: str) -> Batch:
        """Tell how a batch stands."""
        return self._run(performed(read(batch_id), self._limits))

    def cancel(self, batch_id: str) -> Batch:
        """Cancel what has not ended."""
        return self._run(performed(cancelled(batch_id), self._limits))

    def wait(self, batch_id: str, timeout_s: float | None = None) -> Batch:
        """Wait until all of its jobs have ended, however they did.

        Raises:
            BatchTimedOut: the time is over. The batch goes on.
        """
        return self._run(ended(batch_id, timeout_s=timeout_s, limits=self._limits))


def sent(jobs: Sequence[Mapping[str, Any]], options: BatchOptions) -> Call[Batch]:
    """Submit a batch, under an idempotency key: a repeat after a lost answer makes no second one."""
    given: dict[str, Any] = {**options}
    key = given.pop("idempotency_key", None) or uuid.uuid4().hex
    body = {"jobs": [dict(job) for job in jobs]} | {name: value for name, value in given.items() if value is not None}
    headers = {"content-type": "application/json", "idempotency-key": key}
    request = Request("POST", _PATH, headers=headers, body=json.dumps(body).encode())
    return Call(
        request,
        lambda answer: parsed(
            Batch, answer.json() | {"replayed": answer.headers.get("idempotency-replayed") == "true"}
        ),
        limit="submit",
    )


def read(batch_id: str) -> Call[Batch]:
    """Read how a batch stands."""
    return Call(Request("GET", _path(batch_id)), lambda answer: parsed(Batch, answer.json()))


def cancelled(batch_id: str) -> Call[Batch]:
    """Cancel a batch; asking twice is asking once."""
    return Call(Request("POST", f"{_path(batch_id)}/cancel"), lambda answer: parsed(Batch, answer.json()))


def ended(batch_id: str, *, timeout_s: float | None, limits: Limits) -> Flow[Batch]:
    """Look again and again until all jobs of a batch have ended."""
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        batch = yield from performed(read(batch_id), limits)
        left_s = deadline - time.monotonic()
        if batch.is_terminal:
            return batch
        if left_s <= 0:
            raise BatchTimedOut(batch_id, timeout_s or 0.0)
        yield Pause(min(pause_s, left_s))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _path(batch_id: str) -> str:
    return f"{_PATH}/{quote(batch_id, safe='')}"
