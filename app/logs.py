"""A job's log: the file of every attempt, and the lines that only the live stream has."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.inputs import WHOLE_NUMBER, Input, checked
from app.jobs import JobPath, find_job
from app.openapi import SECURITY, answer, problems
from app.services import services
from tasks.core.artifacts import LOG_NAME
from tasks.core.events import EventsUnavailable
from tasks.core.kernel import Kernel
from tasks.core.records import Job

bp = APIBlueprint("logs", __name__, abp_tags=[Tag(name="output")], abp_security=SECURITY)

LEVELS = ("debug", "info", "warning", "error", "critical")


class LogQuery(Input):
    """Which lines."""

    level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "debug", description="The least level that is shown."
    )
    offset: Annotated[int, Field(ge=0, le=10**9), WHOLE_NUMBER] = Field(0, description="Lines to skip.")
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE_NUMBER] = 100


class LogLine(BaseModel):
    """One line."""

    at: str
    attempt: int
    n: int = Field(description="The line's number within its attempt, from 1.")
    level: str
    stream: str
    line: str


class LogPage(BaseModel):
    """Lines, oldest first."""

    lines: list[LogLine]
    total: int = Field(description="How many lines there are of this level and above.")
    next_offset: int | None = Field(None, description="Asks for the next page; null on the last one.")


MODELS: tuple[type[BaseModel], ...] = (LogPage,)


@bp.get(
    "/api/jobs/<job:job_id>/logs",
    responses={200: answer(LogPage, "A page."), **problems(401, 404, 422, 503)},
)
@checked
def read_logs(path: JobPath, query: LogQuery) -> Response:
    """Read a job's log, over all its attempts."""
    at = services()
    least = LEVELS.index(query.level)
    lines: list[LogLine] = []
    total = 0
    for row in log_rows(at.kernel, find_job(at, path.job_id)):
        if LEVELS.index(row["level"]) >= least:
            total += 1
            if query.offset < total <= query.offset + query.limit:
                lines.append(LogLine(**{name: row[name] for name in LogLine.model_fields}))
    end = query.offset + len(lines)
    return json_answer(LogPage(lines=lines, total=total, next_offset=end if lines and end < total else None))


def log_rows(kernel: Kernel, job: Job) -> Iterator[dict[str, Any]]:
    """Iterate over the job's lines as ``LogLine`` has them, oldest first."""
    in_files: Counter[tuple[int, int, str]] = Counter()
    for fence in range(1, job.fence + 1):
        for row in _file_rows(kernel.artifacts.folder(job.id, fence) / LOG_NAME):
            in_files[row["attempt"], row["n"], row["line"]] += 1
            yield row
    # A drained attempt's number is used again, so a number of an attempt and a line may name two lines: count them.
    for row in _stream_rows(kernel, job):
        key = (row["attempt"], row["n"], row["line"])
        if in_files[key] > 0:
            in_files[key] -= 1
        else:
            yield row


def _file_rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.endswith("\n"):  # else the worker is still writing it
                row: dict[str, Any] = json.loads(line)
                yield row


def _stream_rows(kernel: Kernel, job: Job) -> Iterator[dict[str, Any]]:
    if job.fence == 0:
        return
    try:
        events = kernel.events.read(job.id)
    except EventsUnavailable:
        return
    for event in events:
        if event.type == "log":
            yield {"at": event.at, "attempt": event.attempt, **event.data}
