"""A Celery application that is not ours: what Flower submits to, asks about and revokes."""

import os
import time
from pathlib import Path

from celery import Celery

_REDIS = os.environ["ELSEWHERE_REDIS"]
_FOLDER = Path(os.environ["ELSEWHERE_FOLDER"])

app = Celery("elsewhere", broker=_REDIS, backend=_REDIS)


@app.task(name="elsewhere.shout")  # type: ignore[untyped-decorator]  # Celery has no types
def shout(text: str) -> str:
    """Return the text in large letters once ``<text>.go`` is there; each beginning is a line of ``<text>.begun``."""
    with (_FOLDER / f"{text}.begun").open("a") as begun:
        begun.write("begun\n")
    while not (_FOLDER / f"{text}.go").exists():
        time.sleep(0.05)
    return text.upper()
