"""What the answers of a model's endpoint mean that are no success."""

from tasks.core.errors import AppError, Permanent, Transient

# Beside all of 5xx: not in time, in conflict, too many.
_PASSING = frozenset({408, 409, 429})


def refused(status: int) -> AppError:
    """Return the error for this status: ``Transient`` for what may pass."""
    told = f"The model's endpoint answered {status}."
    if status in _PASSING or status >= 500:
        return Transient(told, code="model_away")
    return Permanent(told, code="model_refused")
