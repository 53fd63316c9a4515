"""What is measured: ``python -m bench.NAME``. Each bench prints a table, and with ``--json`` one object as its last line."""
