"""What programs can do on a site, as the registry of tools has it."""

from typing import Any

import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import jobs
from tasks.publishing.release import Owner

_MOST = 200
# Another family's table, by its name: families do not import each other.
_tools = sa.table(
    "discovery_tools",
    *(sa.column(name) for name in ("tenant_id", "site", "name", "status")),
    sa.column("tool", sa.JSON),
)


def actions_of(ledger: Ledger, job: Owner, origin: str) -> list[dict[str, Any]]:
    """Return the active tools that the job's tenant has of an origin, as MCP tools, by name."""
    tenant_id = sa.select(jobs.c.tenant_id).where(jobs.c.id == job.id).scalar_subquery()
    wanted = (_tools.c.tenant_id == tenant_id) & (_tools.c.site == origin) & (_tools.c.status == "active")
    with ledger.read() as connection:
        found = connection.execute(
            sa.select(_tools.c.name, _tools.c.tool).where(wanted).order_by(_tools.c.name).limit(_MOST)
        ).all()
    return [
        {
            "name": row.name,
            "title": row.tool.get("title", ""),
            "description": row.tool.get("description", ""),
            "inputSchema": row.tool.get("input_schema", {}),
            "annotations": {"readOnlyHint": row.tool.get("effect") == "read"},
        }
        for row in found
    ]
