"""Tests of ``tasks.discovery``."""
