"""The request of the one kind whose effect the sink counts."""

from typing import Literal

from pydantic import Field

from tasks.core.spec import STANDARD, Contract, JobSpec, Queue

EFFECT = "chaos.effect"


class EffectRequest(Contract):
    """Tell the sink of the start, work for ``seconds``, then make the effect; each with the attempt's fence."""

    sink: str = Field(pattern=r"^127\.0\.0\.1:[0-9]{1,5}$")
    seconds: float = Field(0.0, ge=0, le=600)
    act: Literal[
        "work",  # in small steps, with a checkpoint between them
        "blind",  # sleeps without ever looking whether it should stop
        "flaky",  # raises a transient error instead of the effect until ``until_attempt`` is passed
    ] = "work"
    until_attempt: int = Field(0, ge=0, le=1000)


class EffectResult(Contract):
    """Which attempt got through, and whether an earlier one had made the effect already."""

    attempt: int
    fence: int
    found_done: bool


SPECS = (
    JobSpec(
        kind=EFFECT,
        queue=Queue.CRITICAL,
        request=EffectRequest,
        result=EffectResult,
        summary="Make one effect outside.",
        soft_limit_s=300,
        hard_limit_s=305,
        retry=STANDARD,
        example={"sink": "127.0.0.1:9"},
    ),
)
