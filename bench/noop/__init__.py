"""The job that does nothing, as each rival has it."""
