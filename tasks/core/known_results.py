"""Earlier answers as an engine sees them. Pure types: importing this loads no database."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.core.errors import InputRejected
from tasks.core.job import JobContext

Names = Callable[[Any], Iterable[str]]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the earlier job left."""

    name: str
    path: Path
    media_type: str


@dataclass(frozen=True, slots=True)
class KnownResult:
    """What an earlier job of the same tenant and kind answered to the same key; ``at``: when it ended."""

    job_id: str
    at: datetime
    result: dict[str, Any]
    files: tuple[KnownFile, ...]


class KnownResults(Protocol):
    """Finds and remembers answers, by keys that the engine makes of its requests."""

    def find(self, job_id: str, *, key: str, max_age_s: float | None = None) -> KnownResult | None:
        """Return the earlier answer to this job's request, if there is one with all its files.

        Args:
            max_age_s: an answer that was written longer ago is none.
        """

    def count(self, job_id: str, *, key: str, hit: bool) -> None:
        """Count whether the job was answered from an earlier one; an entry that did so was used just now."""

    def remember(self, job_id: str, *, fence: int, key: str, ttl_s: float | None = None) -> None:
        """Let this job answer later requests with the key, once it has succeeded.

        Args:
            ttl_s: for so long from now, however often it is asked; None: as long as its files are there.
        """


ResultT = TypeVar("ResultT", bound=BaseModel)


def carried_over(earlier: KnownResult, job: JobContext, *, model: type[ResultT], needs: Names) -> ResultT | None:
    """Make the earlier answer this job's own, files included; None when it cannot be had whole any more.

    Args:
        model: of the answer.
        needs: the names of the files that an answer comes with.
    """
    try:
        result = model.model_validate(earlier.result)
        if not set(needs(result)) <= {file.name for file in earlier.files}:
            return None
        for file in earlier.files:
            job.save(file.name, file.path, file.media_type)
    except (ValidationError, OSError, InputRejected):  # written by another version, or erased just now
        return None
    return result
