"""Celery as its documentation starts it, with results kept in Redis and task events on."""

import os

from celery import Celery

celery = Celery("noop", broker=os.environ["NOOP_REDIS_URL"], backend=os.environ["NOOP_REDIS_URL"])
celery.conf.worker_send_task_events = True
celery.conf.broker_connection_retry_on_startup = True


@celery.task(name="noop.ping")
def ping(message: str) -> dict[str, str]:
    """Return the message."""
    return {"message": message}
