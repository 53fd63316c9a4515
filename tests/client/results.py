"""Results of calibrations as the server tells them, with invented numbers."""

from typing import Any


def cause(
    name: str, mean: float, *, status: str = "calibrated", reason: str | None = None, **more: Any
) -> dict[str, Any]:
    """One cause of one fit, of 200 deaths."""
    interval = {"lower": mean - 0.05, "upper": mean + 0.05} if reason is None else {"lower": None, "upper": None}
    return {
        "cause": name,
        "observed": 50,
        "uncalibrated": 0.25,
        "mean": mean,
        "deaths": round(200 * mean),
        "status": status,
        "reason": reason,
        **interval,
        **more,
    }


STALLED = "path correction stalled (lambda 0.99): an interval would claim more than is known"
RESULT: dict[str, Any] = {
    "algorithms": {
        "eava": {
            "path_lambda": 0.3,
            "causes": [cause("malaria", 0.6), cause("other", 0.4, status="requested", reason="left as observed")],
        },
        "interva": {
            "path_lambda": 0.99,
            "causes": [cause("malaria", 0.5, reason=STALLED), cause("other", 0.5, reason=STALLED)],
        },
    },
    "ensemble": {"causes": [cause("malaria", 0.55), cause("other", 0.45)]},
    "notes": ["something a reader must know"],
}
