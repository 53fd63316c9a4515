"""A Celery app with a library's chores, for Flower to show."""

import os
import time

from celery import Celery

app = Celery("chores", broker=os.environ["TARGET_REDIS"], backend=os.environ["TARGET_REDIS"], set_as_current=False)
app.conf.update(worker_pool_restarts=True, broker_connection_retry_on_startup=True, worker_send_task_events=True)


@app.task(name="chores.shelve")
def shelve(place: str, *, books: int) -> str:
    """Put books in their place."""
    return f"{books} books in {place}"


@app.task(name="chores.mend")
def mend(title: str) -> None:
    """Mend a book that cannot be mended."""
    raise ValueError(f"{title} has lost its cover")


@app.task(name="chores.watch")
def watch(for_s: float) -> None:
    """Keep a worker's process busy."""
    time.sleep(for_s)
