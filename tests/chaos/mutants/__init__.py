"""Guards switched off, to see the suite turn red. A family without kinds, so that every process of a house loads it.

The product knows nothing of this: the house of a mutant run names this package in ``SWITCHYARD_EXTRA_FAMILIES``, and
loading its contract replaces the guard in that process.
"""
