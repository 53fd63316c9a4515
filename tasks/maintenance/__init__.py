"""Housekeeping kinds, and the ping that proves a worker works."""
