"""Searching what is known, in the process that is asked: no table and no engine is known here."""
