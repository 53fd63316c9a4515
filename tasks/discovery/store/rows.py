"""Rows of the registry as the records that the rest of the code knows."""

from typing import Any

from sqlalchemy.engine import Row

from tasks.discovery.store.records import Status, StoredTool
from tasks.discovery.tool import Tool


def stored_tool(row: Row[Any]) -> StoredTool:
    """Make a ``StoredTool`` of a full row of ``tools``."""
    return StoredTool(
        id=row.id,
        tenant_id=row.tenant_id,
        site=row.site,
        name=row.name,
        version=row.version,
        status=Status(row.status),
        tool=Tool.model_validate(row.tool),
        job_id=row.job_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        seen_at=row.seen_at,
        used_at=row.used_at,
        runs_ok=row.runs_ok,
        runs_failed=row.runs_failed,
        failures_in_row=row.failures_in_row,
    )
