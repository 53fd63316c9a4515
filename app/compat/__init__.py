"""The paths and words of older services, translated to ours; nothing here does work of its own.

``aliases`` what every dialect's blueprint does · ``va`` the older VA calibration service · ``walt`` the older tool
discovery service.
"""
