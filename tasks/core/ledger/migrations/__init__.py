"""Alembic's environment and revisions for the ledger."""
