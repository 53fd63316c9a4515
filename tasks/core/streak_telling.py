"""What goes between a worker's child and its parent of several jobs that were run in one go."""

from dataclasses import dataclass
from typing import Any

from celery.utils.saferepr import saferepr

# How much text Celery passes to the parent, how much of that each job of several may have, and one that is alone.
RESULT_CHARACTERS = 8192
_EACH, _ALONE = 60, 2048
_SEPARATOR = "\N{SYMBOL FOR RECORD SEPARATOR}"
# How many jobs may be run behind one: what the parent is told of them has to fit.
MOST = 64


@dataclass(frozen=True, slots=True)
class Followed:
    """A job that was run behind another one's message. ``result``: the beginning of its text, None if it failed."""

    job_id: str
    runtime_s: float
    result: str | None


class Told:
    """What a child returns to its parent after a streak; of a result, Celery passes on ``repr`` alone."""

    def __init__(self, first: Any, followed: list[Followed]) -> None:
        self.first = first
        self._followed = followed

    def __repr__(self) -> str:
        """Return what ``read_told`` reads."""
        lines = [f"{one.job_id} {one.runtime_s:.6f} {one.result or ''}" for one in self._followed]
        # It begins with the separator, as no result of a job that was alone does: those are objects.
        return _SEPARATOR.join(["", beginning_of(self.first), *lines])


def beginning_of(result: Any) -> str:
    """Return as much of the text of a result as the parent is told of each job of a streak."""
    return str(saferepr(result, maxlen=_EACH)).replace(_SEPARATOR, " ")


def read_told(text: str) -> tuple[str, list[Followed]]:
    """Return the text of the first job's result, and what was run behind it."""
    if not text.startswith(_SEPARATOR):
        return text[:_ALONE], []
    first, *lines = text[1:].split(_SEPARATOR)
    return first, [_read(line) for line in lines]


def _read(line: str) -> Followed:
    job_id, runtime_s, result = line.split(" ", 2)
    return Followed(job_id, float(runtime_s), result or None)
