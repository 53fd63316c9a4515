"""The request of the kinds that misbehave to order."""

from typing import Literal

from pydantic import Field

from tasks.core.spec import FAST, Contract, JobSpec, Queue

ACT = "faulty.act"
# The same, but taken for stuck when it is silent for longer than this.
WATCHED = "faulty.watched"
SILENCE_S = 2.0
# R code that misbehaves, by either way to R.
R = "faulty.r"
# A job submitted with ``timeout_s`` has its hard limit this much later.
HARD_AFTER_SOFT_S = 2.0


class ActRequest(Contract):
    """How an attempt behaves. Every attempt first appends ``<job> <attempt> <fence>`` to ``effects``."""

    act: Literal[
        "succeed",
        "fail",  # raises a permanent error
        "transient",  # raises a transient error
        "exit",  # the child calls os._exit
        "segfault",  # the child dereferences null
        "kill",  # the child gets SIGKILL from nobody that says why
        "gobble",  # the child takes ``mebibytes`` of memory, then sleeps
        "unmemorable",  # raises MemoryError
        "sleep",  # in small steps, with a checkpoint between them
        "stubborn",  # sleeps on whatever is raised in it
        "hang",  # sleeps in C with every signal blocked and the interpreter locked
        "grandchild",  # starts a process in a session of its own, then sleeps
        "mute",  # works on without a sign of life, whatever is raised in it
        "browse",  # opens ``url`` in the browser, and waits for it
        "tell",  # reports, logs and saves an artifact
    ]
    effects: str = Field(max_length=500)
    seconds: float = Field(1.0, ge=0, le=1000)
    mebibytes: int = Field(0, ge=0, le=1000)
    url: str = Field("", max_length=500)
    until_attempt: int = Field(1000, ge=0, le=1000, description="Later attempts succeed at once.")


class RRequest(Contract):
    """What R does. Every attempt first appends ``<job> <attempt> <fence>`` to ``effects``."""

    act: Literal[
        "answer",  # prints a line
        "loop",  # looks for interrupts all the time
        "sleep",  # waits in the system
        "system",  # waits for a program, without looking for interrupts
        "crash",  # dereferences what is no address
        "gobble",  # takes memory without end
        "unmemorable",  # asks for more memory than there can be
    ]
    bridge: Literal["rpy2", "rscript"]
    effects: str = Field(max_length=500)
    until_attempt: int = Field(1000, ge=0, le=1000, description="Later attempts only answer.")


class ActResult(Contract):
    """Which attempt got through."""

    attempt: int
    fence: int


SPECS = (
    JobSpec(
        kind=ACT,
        queue=Queue.ANALYTICS,
        request=ActRequest,
        result=ActResult,
        summary="Misbehave to order.",
        soft_limit_s=120,
        hard_limit_s=120 + HARD_AFTER_SOFT_S,
        retry=FAST,
        example={"act": "succeed", "effects": "/dev/null"},
    ),
    JobSpec(
        kind=WATCHED,
        queue=Queue.ANALYTICS,
        request=ActRequest,
        result=ActResult,
        summary="Misbehave to order, though not in silence.",
        soft_limit_s=120,
        hard_limit_s=120 + HARD_AFTER_SOFT_S,
        silence_s=SILENCE_S,
        retry=FAST,
        example={"act": "succeed", "effects": "/dev/null"},
    ),
    JobSpec(
        kind=R,
        queue=Queue.AI,
        request=RRequest,
        result=ActResult,
        summary="Run R that misbehaves to order.",
        soft_limit_s=120,
        hard_limit_s=120 + HARD_AFTER_SOFT_S,
        retry=FAST,
        capabilities=frozenset({"r"}),
        example={"act": "answer", "bridge": "rscript", "effects": "/dev/null"},
    ),
)
