"""The maintenance kinds."""
