"""Calibration kinds: cause fractions from verbal autopsies, corrected for the known errors of the algorithms."""
