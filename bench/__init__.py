"""What is measured: ``python -m bench.NAME``. A table, and with ``--json`` one object as last line."""
