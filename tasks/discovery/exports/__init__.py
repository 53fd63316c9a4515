"""Tools in the forms that others read: MCP, OpenAPI 3.1, function calling, Python. Pure functions; load anywhere."""
