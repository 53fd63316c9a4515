"""The tenant's tools for agents: an MCP server over streamable HTTP at ``/mcp``. See docs/decisions/0023.

``routes`` speaks HTTP and is light; ``messages``, ``offers`` and ``calls`` load at the first request, because the SDK's
types take half a second to import.
"""
