"""The registry on SQLite and PostgreSQL."""
