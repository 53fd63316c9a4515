"""Which of a tenant's tools are offered to agents: active ones that are sure enough."""

from typing import Any

from app.mcp.calls import Refused
from app.services import Services
from app.tool_records import exported_of
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.store import tools
from tasks.discovery.store.records import Status, StoredTool
from tasks.discovery.store.tools import Wanted

_PAGE = 100
_MOST_OFFERED = 1000


def offered(at: Services, tenant_id: str) -> list[StoredTool]:
    """List them by site and name; 1,000 at most."""
    wanted = Wanted(tenant_id, statuses=(Status.ACTIVE,), min_confidence=at.settings.mcp_min_confidence)
    return tools.all_of(at.kernel.ledger, wanted, limit=_MOST_OFFERED)


def page_of(at: Services, tenant_id: str, cursor: str | None) -> dict[str, Any]:
    """Return a page as ``tools/list`` answers with it.

    Raises:
        Refused: the cursor is not one of ours.
    """
    start = 0 if cursor is None else _place(cursor)
    found = offered(at, tenant_id)
    page = {"tools": [exported_mcp_tool(exported_of(one)) for one in found[start : start + _PAGE]]}
    return page if len(found) <= start + _PAGE else page | {"nextCursor": str(start + _PAGE)}


def _place(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 5:
        raise Refused("cursor: not one that this list gave out.")
    return int(cursor)
