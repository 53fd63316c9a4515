"""Trying again and waiting, as flows: the same rules for the blocking and the asyncio client."""

import math
import time
from typing import TypeVar

from client import calls
from client.calls import Call, checked
from client.errors import AnswerTimedOut, ConnectionFailed, JobCancelled, JobFailed, Unavailable, WaitTimedOut
from client.limits import Limits
from client.models import Job
from client.steps import Exchange, Flow, Notice, Pause, answered

T = TypeVar("T")

# The server's cap on one long-poll.
_SERVER_WAIT_S = 60


def performed(call: Call[T], limits: Limits) -> Flow[T]:
    """Perform a call, again after a failed connection or a 503 if that is safe, all within its limit."""
    limit_s = (limits.submit_s if call.limit == "submit" else limits.status_s) + call.extra_s
    deadline = time.monotonic() + limit_s
    for failures in range(1, limits.reconnects + 2):
        left_s = max(0.001, deadline - time.monotonic())
        try:
            answer = yield from answered(Exchange(call.request, min(limits.connect_s, left_s), left_s))
            return call.read(checked(answer))
        except (ConnectionFailed, Unavailable) as exc:
            pause_s = limits.pause_s(failures, asked_s=exc.retry_after_s)
            late = time.monotonic() + pause_s >= deadline
            if not call.repeatable or failures > limits.reconnects or late:
                raise
            yield Notice("retrying", exc.detail, attempt=failures)
            yield Pause(pause_s)
    raise AssertionError("unreachable: the last round returns or raises")


def waited(job_id: str, *, timeout_s: float | None, check: bool, limits: Limits) -> Flow[Job]:
    """Long-poll until the job has ended.

    Every request asks the server to answer before our own time is over, so nothing is left open on either side.
    """
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    job: Job | None = None
    failures = 0
    while True:
        began = time.monotonic()
        left_s = deadline - began
        if left_s <= 0 and job:
            raise WaitTimedOut(job_id, timeout_s or 0.0, job=job)
        try:
            job = yield from _poll(job_id, max(left_s, 0.0), limits)
        except (ConnectionFailed, Unavailable) as exc:
            failures += 1
            out_of_time = time.monotonic() >= deadline
            if out_of_time and (job or isinstance(exc, AnswerTimedOut)):
                raise WaitTimedOut(job_id, timeout_s or 0.0, job=job) from exc
            # Once the server has shown the job, a wait with a limit of its own outlasts any outage within it.
            if out_of_time or (failures > limits.reconnects and (job is None or timeout_s is None)):
                raise
            yield Notice("retrying", exc.detail, attempt=failures)
            yield Pause(min(limits.pause_s(failures, asked_s=exc.retry_after_s), max(0.0, deadline - time.monotonic())))
            continue
        failures = 0
        if job.is_terminal:
            return ended_well(job) if check else job
        # A draining server answers early; asking again at once would be a busy loop.
        if time.monotonic() - began < limits.poll_gap_s:
            yield Pause(min(limits.poll_gap_s, max(0.0, deadline - time.monotonic())))


def _poll(job_id: str, left_s: float, limits: Limits) -> Flow[Job]:
    wait_s = int(min(limits.long_poll_s, left_s, _SERVER_WAIT_S))
    read_s = max(0.05, min(left_s, wait_s + limits.status_s)) if left_s else limits.status_s
    request = calls.poll(job_id, wait_s=wait_s)
    answer = yield from answered(Exchange(request, min(limits.connect_s, read_s), read_s))
    return calls.parsed(Job, checked(answer).json())


def ended_well(job: Job) -> Job:
    """Return a succeeded job; raise for one that failed or was cancelled."""
    if job.state == "failed":
        raise JobFailed(job)
    if job.state == "cancelled":
        raise JobCancelled(job)
    return job
