"""The request of the kinds whose effect the sink counts: one kind per queue, all alike."""

from typing import Literal

from pydantic import Field

from tasks.core.spec import STANDARD, Contract, JobSpec, Queue

EFFECT = "chaos.effect"
# A job submitted with ``timeout_s`` has its hard limit this much later.
HARD_AFTER_SOFT_S = 5.0


class EffectRequest(Contract):
    """Tell the sink of the start, work for ``seconds``, then make the effect; each with the attempt's fence."""

    sink: str = Field(pattern=r"^127\.0\.0\.1:[0-9]{1,5}$")
    seconds: float = Field(0.0, ge=0, le=600)
    act: Literal[
        "work",  # in small steps, with a checkpoint between them
        "blind",  # sleeps without ever looking whether it should stop
        "flaky",  # raises a transient error instead of the effect until ``until_attempt`` is passed
        "exit",  # the child calls os._exit
        "segfault",  # the child dereferences null
        "hog",  # takes more and more memory
        "spin",  # loops without end
        "hung_engine",  # starts a browser or another long-lived program, then never runs Python again
    ] = "work"
    step_s: float = Field(0.05, gt=0, le=10, description="Of `work`: the pause between two reports.")
    until_attempt: int = Field(0, ge=0, le=1000)


class EffectResult(Contract):
    """Which attempt got through, and whether an earlier one had made the effect already."""

    attempt: int
    fence: int
    found_done: bool


def kind_of(queue: Queue) -> str:
    """Return the kind that makes the same effect by way of ``queue``."""
    return EFFECT if queue is Queue.CRITICAL else f"{EFFECT}_{queue}"


SPECS = tuple(
    JobSpec(
        kind=kind_of(queue),
        queue=queue,
        request=EffectRequest,
        result=EffectResult,
        summary="Make one effect outside.",
        soft_limit_s=300,
        hard_limit_s=300 + HARD_AFTER_SOFT_S,
        retry=STANDARD,
        example={"sink": "127.0.0.1:9"},
    )
    for queue in Queue
)
