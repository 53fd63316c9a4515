"""Speaks to services: knows no queue and no database."""
