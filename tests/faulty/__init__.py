"""A family for tests only: jobs that fail, hang and die on purpose. Plugged in as an operator would plug in theirs."""
