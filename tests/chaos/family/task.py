"""The Celery tasks of the family; they only delegate."""

import os
from typing import Any

from celery import current_app, shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, Returned, run_job
from tasks.core.spec import JobSpec
from tests.chaos.family.contract import SPECS

# Switchyard offers no such setting, because nothing of its own depends on it; F4 shortens it to prove that.
if "CHAOS_VISIBILITY_TIMEOUT_S" in os.environ:
    current_app.conf.broker_transport_options["visibility_timeout"] = float(os.environ["CHAOS_VISIBILITY_TIMEOUT_S"])


def _register(spec: JobSpec) -> None:
    @shared_task(name=spec.kind, bind=True, base=JobTask)
    def effect(self: JobTask, _job_id: str) -> Returned:
        return run_job(self, spec, _load)


for _spec in SPECS:
    _register(_spec)


def _load() -> Engine[Any]:
    from tests.chaos.family.engine import make_effect

    return make_effect
