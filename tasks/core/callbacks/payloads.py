"""What receivers read. Thin, as Standard Webhooks advises: results and errors' details stay behind the API key."""

import json
from datetime import datetime
from typing import Any

from tasks.core.clock import rfc3339
from tasks.core.storable import storable


def body_of(type_: str, at: datetime, data: dict[str, Any]) -> str:
    """Return the body of a delivery; these very characters are signed."""
    wire = {"type": type_, "timestamp": rfc3339(at), "data": data}
    return storable(json.dumps(wire, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
