"""Work that takes a while, then one effect outside, guarded by the fence as any engine's should be."""

import time

from tasks.core.errors import Permanent, Transient
from tasks.core.job import JobContext
from tests.chaos.family.contract import EffectRequest, EffectResult
from tests.chaos.family.poison import POISONS
from tests.chaos.sink import Answer, tell


def make_effect(request: EffectRequest, job: JobContext) -> EffectResult:
    """Start, work, take effect. An effect that an earlier attempt has made is not made again."""
    if _tell(request, job, "start").effect is not None:
        return EffectResult(attempt=job.attempt, fence=job.fence, found_done=True)
    if request.act in POISONS:
        POISONS[request.act]()
    elif request.act == "blind":
        time.sleep(request.seconds)
    else:
        _work(request, job)
    if request.act == "flaky" and job.attempt <= request.until_attempt:
        raise Transient("Try again.")
    _tell(request, job, "effect")
    return EffectResult(attempt=job.attempt, fence=job.fence, found_done=False)


def _work(request: EffectRequest, job: JobContext) -> None:
    began = time.monotonic()
    while (worked := time.monotonic() - began) < request.seconds:
        job.report("working", worked, request.seconds)
        time.sleep(min(request.step_s, request.seconds - worked))


def _tell(request: EffectRequest, job: JobContext, phase: str) -> Answer:
    answer = tell(request.sink, job=job.id, attempt=job.attempt, fence=job.fence, phase=phase)
    if not answer.accepted:
        if request.act != "blind":
            job.checkpoint()
        raise Permanent(f"The sink refused the {phase} of fence {job.fence}: it has seen a newer one.", code="refused")
    return answer
