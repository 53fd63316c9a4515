"""Rows of the ledger as the records that the rest of the code knows."""

from typing import Any

from sqlalchemy.engine import Row

from tasks.core.records import Job, JobState


def job_from_row(row: Row[Any]) -> Job:
    """Make a ``Job`` of a full row of ``jobs``."""
    values = dict(row._mapping)
    values["state"] = JobState(values["state"])
    return Job(**values)
