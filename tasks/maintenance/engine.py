"""The work of the maintenance kinds."""

from tasks.core.job import JobContext
from tasks.maintenance.contract import PingRequest, PingResult


def ping(request: PingRequest, job: JobContext) -> PingResult:
    """Return the message as it came."""
    job.checkpoint()
    return PingResult(message=request.message)
