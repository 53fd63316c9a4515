"""The Celery task of the family; it only delegates."""

import os
from typing import Any

from celery import current_app, shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tests.chaos.family.contract import EFFECT, SPECS

# Switchyard offers no such setting, because nothing of its own depends on it; F4 shortens it to prove that.
if "CHAOS_VISIBILITY_TIMEOUT_S" in os.environ:
    current_app.conf.broker_transport_options["visibility_timeout"] = float(os.environ["CHAOS_VISIBILITY_TIMEOUT_S"])


@shared_task(name=EFFECT, bind=True, base=JobTask)
def effect(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``chaos.effect``."""
    return run_job(self, SPECS[0], _load)


def _load() -> Engine[Any]:
    from tests.chaos.family.engine import make_effect

    return make_effect
