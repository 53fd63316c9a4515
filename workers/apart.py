"""Duties that are done one after the other, and that must not keep each other from being done."""

from collections.abc import Callable

import structlog

from tasks.core.errors import LedgerUnavailable

log = structlog.get_logger()


def done_apart(duty: Callable[[], object], *, named: str, passing_on: tuple[type[Exception], ...] = ()) -> None:
    """Do the duty. Should it fail, turn after turn, because of what it finds, that is all that is not done.

    For those that come after one for which the ledger has just answered: away for a single statement, that may be slow
    or wait for a lock, it is no reason to leave all else undone.

    Args:
        passing_on: what the caller deals with.
    """
    try:
        duty()
    except passing_on:
        raise
    except LedgerUnavailable as exc:
        log.warning("duty_put_off", duty=named, code=exc.code)
    except Exception:  # whatever it is, jobs are to be carried and rescued all the same
        log.exception("duty_failed", duty=named)
