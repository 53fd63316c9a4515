"""What each queue asks of a worker process; a worker of several queues follows the strictest of their profiles."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.spec import Queue


@dataclass(frozen=True, slots=True)
class Profile:
    """Limits of one worker.

    Args:
        concurrency: pool children, each running one job at a time.
        max_jobs_per_child: a child is replaced after so many jobs; 0 keeps it.
        max_memory_mib: a child that holds more than this after a job is replaced.
    """

    concurrency: int
    max_jobs_per_child: int
    max_memory_mib: int


# A browser or R leaks slowly, hence the recycling; the rest runs until it grows large.
PROFILES = {
    Queue.CRITICAL: Profile(concurrency=2, max_jobs_per_child=0, max_memory_mib=1024),
    Queue.AI: Profile(concurrency=1, max_jobs_per_child=20, max_memory_mib=2048),
    Queue.CRAWLER: Profile(concurrency=2, max_jobs_per_child=50, max_memory_mib=1024),
    Queue.VOICE: Profile(concurrency=1, max_jobs_per_child=0, max_memory_mib=1024),
    Queue.ANALYTICS: Profile(concurrency=1, max_jobs_per_child=0, max_memory_mib=1024),
    Queue.MAINTENANCE: Profile(concurrency=1, max_jobs_per_child=0, max_memory_mib=1024),
}


def strictest(queues: Sequence[str]) -> Profile:
    """Return the least of each limit over ``queues``, where 0 jobs a child means no limit."""
    chosen = [PROFILES[Queue(name)] for name in queues]
    jobs = [profile.max_jobs_per_child for profile in chosen if profile.max_jobs_per_child]
    return Profile(
        concurrency=min(profile.concurrency for profile in chosen),
        max_jobs_per_child=min(jobs, default=0),
        max_memory_mib=min(profile.max_memory_mib for profile in chosen),
    )
