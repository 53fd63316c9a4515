"""The engine of ``calibration.va``: R does the numbers, Python everything around them."""
