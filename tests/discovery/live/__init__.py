"""Discovery in a real browser."""
