"""How long what discovery keeps is kept, where that is not as long as somebody wants it."""

from tasks.core.spec import Aging

RUN_LOG = Aging(name="tool_runs", table="discovery_runs", key="id", time="at", keep_s=30 * 24 * 3600)
"""Of the kind that runs tools."""
