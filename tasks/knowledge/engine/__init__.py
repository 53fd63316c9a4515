"""Engines of the knowledge kinds: plain functions that get what they need passed in."""
