"""Schedules: when they come (``timing``), what is done about a time that has come (``plan``), and their records."""
