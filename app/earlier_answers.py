"""Discoveries that an earlier one answers end as they are accepted: no worker is needed for them, none waited for."""

from collections.abc import Callable
from functools import partial

from app.services import Services
from tasks.core.at_once import end_at_once
from tasks.core.records import Backend, Job
from tasks.core.spec import JobSpec
from tasks.discovery.caching import Answers
from tasks.discovery.contract import SITE, TOOL, SiteRequest, ToolRequest
from tasks.submission import Submission


def answering(at: Services, spec: JobSpec, submission: Submission) -> Callable[[Job], Job | None] | None:
    """Return what ends the submission's job at once where an earlier one answers it.

    None: that is nothing for this kind, or the submission says where it is to run.
    """
    if spec.kind not in (SITE, TOOL) or submission.backend != Backend.AUTO or submission.requires is not None:
        return None
    return partial(_answered, at, spec)


def _answered(at: Services, spec: JobSpec, job: Job) -> Job | None:
    request = spec.request.model_validate(job.request)
    assert isinstance(request, SiteRequest | ToolRequest)  # noqa: S101  # by its kind
    answers = Answers(at.answers)
    earlier = answers.find(request, job.id)
    if earlier is None:
        return None
    return end_at_once(at.kernel, spec, job, partial(answers.give, earlier), telemetry=at.telemetry)
