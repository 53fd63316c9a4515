"""Plays the workers for the stream benches: appends timed reports and ends jobs, from another process than the web's.

Reads one line of JSON: ``state_dir``, ``redis_url``, ``seconds``, ``reported`` (job ids with their fences, reported on
in turn), ``reports_per_s``, ``ended`` (the same, ended one after the other), ``ends_per_s``.
"""

import json
import sys
import time
from pathlib import Path

from tasks.core.kernel import Kernel, open_kernel
from tasks.core.ledger import transitions
from tasks.core.records import Cause, JobState
from tasks.core.relay import announce
from tasks.core.settings import Settings


def main() -> None:
    """Run the plan on stdin; print when each job ended."""
    plan = json.loads(sys.stdin.readline())
    kernel = open_kernel(Settings(state_dir=Path(plan["state_dir"]), redis_url=plan["redis_url"]))
    ended: dict[str, float] = {}
    began = time.monotonic()
    reports = ends = 0
    while (elapsed := time.monotonic() - began) < plan["seconds"]:
        if reports < elapsed * plan["reports_per_s"]:
            job_id, fence = plan["reported"][reports % len(plan["reported"])]
            report = {"percent": 50.0, "stage": "bench", "message": "x" * 60, "sent_s": time.monotonic()}
            kernel.events.append(job_id, "progress", report, fence=fence, attempt=1)
            reports += 1
        elif ends < elapsed * plan["ends_per_s"] and ends < len(plan["ended"]):
            ended[plan["ended"][ends][0]] = _end(kernel, *plan["ended"][ends])
            ends += 1
        else:
            time.sleep(0.002)
    sys.stdout.write(json.dumps(ended) + "\n")


def _end(kernel: Kernel, job_id: str, fence: int) -> float:
    job = transitions.finish(
        kernel.ledger, job_id, fence=fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, result={"message": ""}
    )
    committed_s = time.monotonic()
    assert job is not None
    announce(kernel.ledger, kernel.events, job)
    return committed_s


if __name__ == "__main__":
    main()
