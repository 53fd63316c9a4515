"""Errors: one tree, stable codes, each documented, and fit to cross a process border."""

import inspect
import pickle
import re
from pathlib import Path

from tasks.core import errors
from tasks.core.errors import AppError, InputRejected, LedgerBusy, LedgerUnavailable, Permanent, SoftLimitReached
from tasks.core.records import Cause

CLASSES = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, AppError)]
# What ``core.run`` and ``core.outcome`` name themselves: the engine's bugs and the kernel's causes of an end.
CAUSES = {"engine_error", Cause.WORKER_LOST, Cause.TIMEOUT}


def test_every_class_has_a_code_of_its_own() -> None:
    """Clients match on it."""
    codes = [cls.code for cls in CLASSES]
    assert sorted(set(codes)) == sorted(codes)


def test_tree_in_the_docstring_is_the_tree() -> None:
    """Every class stands in it under its own parent's name."""
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert {cls.__name__ for cls in CLASSES} - {"AppError"} == drawn


def test_error_survives_a_pipe() -> None:
    """A pool child hands it to its parent."""
    for error in (InputRejected("bad", field="x"), Permanent("broke", code="engine_error"), SoftLimitReached("slow")):
        back = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
        assert (type(back), back.message, back.field, back.code) == (
            type(error),
            error.message,
            error.field,
            error.code,
        )


def test_instance_code_does_not_change_its_class() -> None:
    """Narrowing one error leaves the others alone."""
    assert Permanent("x", code="engine_error").code == "engine_error"
    assert Permanent("x").code == "permanent"


def test_busy_is_a_kind_of_unavailable() -> None:
    """Who handles the one handles the other."""
    assert issubclass(LedgerBusy, LedgerUnavailable)


def test_every_code_is_documented() -> None:
    """``docs/errors.md`` says of each code when it comes and what to do."""
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    rows = {code: (when, remedy) for code, when, remedy in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", page, re.M)}
    assert ({cls.code for cls in CLASSES} | CAUSES) - rows.keys() == set()
    assert [code for code, (when, remedy) in rows.items() if len(when) < 20 or len(remedy) < 10] == []
