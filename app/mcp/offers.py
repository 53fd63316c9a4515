"""Which of a tenant's tools are offered to agents: active ones that are sure enough."""

import json
from typing import Any

from app.mcp.refusals import Refused
from app.services import Services
from app.tool_records import exported_of
from tasks.discovery.exports.exported import exported_name
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.store import tools
from tasks.discovery.store.records import Status, StoredTool
from tasks.discovery.store.tools import Wanted

_PAGE = 100


def find(at: Services, tenant_id: str, name: str) -> StoredTool:
    """Return the tool that is offered by this name.

    Raises:
        Refused: none is.
    """
    found = _named(at, _offered(at, tenant_id), name)
    if found is not None:
        return found
    withdrawn = _named(at, Wanted(tenant_id), name)
    why = "" if withdrawn is None else how_to_get_back(withdrawn)
    raise Refused(f"name: no tool {name[:100]!r} is offered; read the list again.{why}")


def how_to_get_back(stored: StoredTool) -> str:
    """Say what to do about a tool that is not to be relied on; nothing of one that is."""
    if stored.rediscovery is None:
        return ""
    return f" It is {stored.status}; to have it looked for anew, POST {json.dumps(stored.rediscovery)} to /api/jobs."


def _named(at: Services, wanted: Wanted, name: str) -> StoredTool | None:
    for tool_id, site, tool_name in tools.names_of(at.kernel.ledger, wanted):
        if exported_name(site, tool_name) == name:
            return tools.find(at.kernel.ledger, wanted.tenant_id, tool_id)
    return None


def page_of(at: Services, tenant_id: str, cursor: str | None) -> dict[str, Any]:
    """Return a page as ``tools/list`` answers with it, by site and name.

    Raises:
        Refused: the cursor is not one of ours.
    """
    start = 0 if cursor is None else _place(cursor)
    found = tools.all_of(at.kernel.ledger, _offered(at, tenant_id), limit=_PAGE + 1, offset=start)
    page: dict[str, Any] = {"tools": [exported_mcp_tool(exported_of(one)) for one in found[:_PAGE]]}
    return page | {"nextCursor": str(start + _PAGE)} if len(found) > _PAGE else page


def _offered(at: Services, tenant_id: str) -> Wanted:
    return Wanted(tenant_id, statuses=(Status.ACTIVE,), min_confidence=at.settings.mcp_min_confidence)


def _place(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:
        raise Refused("cursor: not one that this list gave out.")
    return int(cursor)
