"""Tests of the template language of follow-ups."""
