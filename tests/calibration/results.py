"""Results of calibrations as the ledger keeps them, for tests that need no R."""

from typing import Any


def a_result(algorithms: tuple[str, ...] = ("one",), **more: Any) -> dict[str, Any]:
    """Make a result over pneumonia (calibrated) and ipre (left as observed), with an ensemble where there are two."""
    fit = {
        "is_calibrated": True,
        "total": 4,
        "causes": [
            _cause("pneumonia", uncalibrated=0.75, mean=0.6, lower=0.4, upper=0.8, deaths=2, status="calibrated"),
            _cause("ipre", uncalibrated=0.25, mean=0.4, lower=None, upper=None, deaths=2, status="requested"),
        ],
        "diagnostics": {
            "rhat_max": 1.0,
            "ess_bulk_min": 4000.0,
            "ess_tail_min": 4000.0,
            "divergences": 0,
            "acceptance": 0.8,
            "gradients": 100,
            "extended": False,
            "converged": True,
            "seconds": 0.1,
        },
    }
    return {
        "is_example": False,
        "causes": ["pneumonia", "ipre"],
        "algorithms": {name: fit | {"path_lambda": 0.2, "is_stalled": False} for name in algorithms},
        "ensemble": fit | {"stalled_members": [], "deaths": {}} if len(algorithms) > 1 else None,
        "notes": [],
        "provenance": {
            "engine": "switchyard-r",
            "bridge": "rpy2",
            "sampler": "c",
            "packages": {},
            "donotcalib": {},
            "cause_map": {},
            "studycause_map": None,
            "package_version": "1.0.0",
            "r_version": "4.2.2",
            "switchyard_version": "0.1.0",
            "seed": 1,
            "parameters": {},
            "excluded": {},
            "input_sha256": "0" * 64,
            "matrix_sha256": {},
            "dropped": {},
        },
        "artifacts": ["csmf.csv"],
    } | more


def _cause(name: str, **values: Any) -> dict[str, Any]:
    reason = None if values["status"] == "calibrated" else "left as observed, as asked for"
    return {"cause": name, "observed": 3 if name == "pneumonia" else 1, "reason": reason} | values
