"""One module per row of the fault table, or per group of rows that share a fault; each ends with ``SCENARIOS``."""
