"""Rows of the ledger as the records that the rest of the code knows."""

from dataclasses import fields
from typing import Any

from sqlalchemy.engine import Row

from tasks.core.records import Job, JobState


def values_of(record: Any) -> dict[str, Any]:
    """Return a record's values by name, as they are: ``dataclasses.asdict`` would copy each, all the way down."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def job_from_row(row: Row[Any]) -> Job:
    """Make a ``Job`` of a full row of ``jobs``."""
    values = dict(row._mapping)
    values["state"] = JobState(values["state"])
    del values["routed_to"]  # of concern to the dispatcher alone
    return Job(**values)
