"""Requests and results of the maintenance kinds."""

from pydantic import Field

from tasks.core.spec import FAST, Contract, JobSpec, Queue

PING = "maintenance.ping"


class PingRequest(Contract):
    """Ask a worker for a sign of life."""

    message: str = Field("", max_length=200, description="Comes back in the result.", examples=["hello"])


class PingResult(Contract):
    """What the worker answered."""

    message: str = Field(max_length=200)


SPECS = (
    JobSpec(
        kind=PING,
        queue=Queue.MAINTENANCE,
        request=PingRequest,
        result=PingResult,
        summary="Answer at once: proves that accept, broker, worker and ledger work together.",
        soft_limit_s=10,
        hard_limit_s=15,
        retry=FAST,
        example={"message": "hello"},
    ),
)
