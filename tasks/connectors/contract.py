"""What connectors are asked and what they answer. Light to import: the web process loads this."""

from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.core.spec import Contract, JobSpec, Queue

SIMULATE = "connectors.simulate"
HTTP = "connectors.http"
WEBSOCKET = "connectors.websocket"
CHECK = "connectors.check"
MAX_ANSWER_BYTES = 64 * 1024

ConnectorName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Of a configuration that is stored with `PUT /api/connectors/{name}`.",
    ),
]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Input = Annotated[
    dict[str, Any], Field(max_length=100, description="What `{{input.NAME}}` stands for in the configuration.")
]


class SimulateRequest(Contract):
    """Work that does nothing but take its time: for load tests and demonstrations."""

    duration_s: float = Field(5.0, ge=0, le=3000, allow_inf_nan=False)
    steps: int = Field(10, ge=1, le=10_000, description="A progress report each.")
    failure_rate: float = Field(0.1, ge=0, le=1, allow_inf_nan=False, description="Of attempts, at some step.")
    failure: Literal["transient", "permanent"] = Field("transient", description="Transient ones are tried again.")
    seed: int | None = Field(
        None, ge=0, le=2**53, description="With the number of the attempt it decides; if absent, the job's id does."
    )


class SimulateResult(Contract):
    """A simulation that came to its end."""

    steps: Count
    attempt: Count = Field(description="Which attempt it was, from 1.")
    took_s: Seconds


class HTTPRequest(Contract):
    """Let a service do something: call it, or submit to it and poll it, as its configuration says."""

    connector: ConnectorName
    input: Input = Field(default_factory=dict)


class Answered(Contract):
    """What a service answered."""

    connector: ConnectorName
    media_type: str = Field(max_length=200)
    artifact: str = Field(max_length=200, description="The file with the answer, without secrets.")
    size_bytes: Count
    answer: Any = Field(description=f"It as JSON; null where it is none, or larger than {MAX_ANSWER_BYTES} bytes.")
    remote: dict[str, str] = Field(description="What the service calls the work; empty where that is not asked.")
    resumed: bool = Field(description="An earlier attempt had submitted it.")
    took_s: Seconds = Field(description="This attempt.")


class HTTPResult(Answered):
    """What the service answered over HTTP."""

    status: int = Field(ge=100, le=999, description="Of the last answer.")
    polls: Count


class WebSocketRequest(Contract):
    """Let a service do something over a WebSocket, as its configuration says."""

    connector: ConnectorName
    input: Input = Field(default_factory=dict)


class WebSocketResult(Answered):
    """What the service answered over its WebSocket."""

    frames: Count = Field(description="That this attempt received.")


class CheckRequest(Contract):
    """Find out whether a connector's service is well, and whether it could be given an input."""

    connector: ConnectorName
    input: Input | None = Field(None, description="Null: only whether the service is well.")


class CheckResult(Contract):
    """Whether it is, and could."""

    connector: ConnectorName
    healthy: bool | None = Field(description="Null: the configuration says nothing of health.")
    can_process: bool | None = Field(description="Whether every template of the request could be filled.")
    reasons: Annotated[tuple[Annotated[str, Field(max_length=500)], ...], Field(max_length=2)]
    took_s: Seconds


SPECS = (
    JobSpec(
        kind=SIMULATE,
        queue=Queue.AI,
        request=SimulateRequest,
        result=SimulateResult,
        summary="Work that does nothing but take its time, in steps, and fails now and then.",
        soft_limit_s=3600,
        hard_limit_s=3630,
        example={"duration_s": 1, "steps": 5, "failure_rate": 0},
    ),
    JobSpec(
        kind=HTTP,
        queue=Queue.AI,
        request=HTTPRequest,
        result=HTTPResult,
        summary="Let a service do something: called over HTTP once, or submitted to and polled.",
        soft_limit_s=3600,
        hard_limit_s=3630,
        example={"connector": "translator", "input": {"text": "Good morning", "to": "pt"}},
    ),
    JobSpec(
        kind=WEBSOCKET,
        queue=Queue.AI,
        request=WebSocketRequest,
        result=WebSocketResult,
        summary="Let a service do something over a WebSocket: sent a frame, followed by its frames.",
        soft_limit_s=3600,
        hard_limit_s=3630,
        example={"connector": "speaker", "input": {"text": "Good morning"}},
    ),
    JobSpec(
        kind=CHECK,
        queue=Queue.AI,
        request=CheckRequest,
        result=CheckResult,
        summary="Whether a connector's service is well, and could be given an input.",
        soft_limit_s=150,
        hard_limit_s=160,
        example={"connector": "translator"},
    ),
)
