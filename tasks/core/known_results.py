"""Earlier answers as an engine sees them. Pure types: importing this loads no database."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


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

    def find(self, job_id: str, *, key: str) -> KnownResult | None:
        """Return the earlier answer to this job's request, if there is one with all its files."""

    def count(self, job_id: str, *, hit: bool) -> None:
        """Count whether the job was answered from an earlier one."""

    def remember(self, job_id: str, *, fence: int, key: str) -> None:
        """Let this job answer later requests with the key, once it has succeeded."""
