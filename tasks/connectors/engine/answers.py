"""What becomes of a service's answer: a file, and part of the result where it is small."""

import json
from dataclasses import dataclass
from typing import Any

from tasks.connectors.contract import MAX_ANSWER_BYTES
from tasks.core.hidden import Hidden
from tasks.core.job import JobContext

_ENDINGS = {"application/json": "json", "text/plain": "txt", "text/html": "html", "text/csv": "csv"}


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was kept."""

    artifact: str
    media_type: str
    size_bytes: int
    answer: Any


def keep_answer(job: JobContext, content: bytes, media_type: str, *, hidden: Hidden) -> Kept:
    """Keep an answer, without secrets, as a file of the job."""
    content = hidden.struck_from_bytes(content)
    artifact = f"answer.{_ENDINGS.get(media_type, 'bin')}"
    job.save(artifact, content, media_type)
    return Kept(artifact, media_type, len(content), _small_document(content))


def _small_document(content: bytes) -> Any:
    if len(content) > MAX_ANSWER_BYTES:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
