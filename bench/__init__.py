"""Benchmarks: ``python -m bench.<name>`` measures one thing, against others where there are any."""
