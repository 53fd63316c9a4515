"""Words and numbers for people: safe to print, short, the same in every command."""

import json
import re
from datetime import datetime

from client.models import DomainEvent, Event, Job, LogLine, Progress

# What a crawled page or an engine printed must not move the cursor or retitle the reader's terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")

# A link of Markdown: words, in which brackets come in pairs or escaped, and where it leads, with or without a title. A
# target that is no address and begins with no slash or point has one of these within, and does not stand behind what
# would be an index or a call in code.
_WORDS = r"(?<!\\)!?\[((?:[^\[\]\\]|\\.|\[(?:[^\[\]\\]|\\.)*+\])*+)\]"
_REST = r"(?:[^()\s]|\([^()\s]*+\))*+"
_TARGET = rf"<(?:https?:|mailto:|[^<>\s/#.?]*+[/#.?])[^<>\n]*+>|(?:https?:|mailto:|[/#.?]){_REST}"
_RELATIVE = rf"[\w%~-]++[/#.?]{_REST}"
_TITLE = r"""(?:\s+(?:"[^"\n]*+"|'[^'\n]*+'|\([^()\n]*+\)))?"""
_LINK = re.compile(rf"{_WORDS}\(\s*+(?:{_TARGET}){_TITLE}\s*+\)|(?<![\w)\]]){_WORDS}\(\s*+{_RELATIVE}{_TITLE}\s*+\)")


def clean(text: object) -> str:
    """Return text on one line, without control characters."""
    return _CONTROL.sub(" ", str(text))


def unlinked(markdown: str) -> str:
    """Return Markdown whose links are their words alone: in a terminal the addresses hide the sentence."""
    for _ in range(2):  # a picture may be the words of a link
        markdown = _LINK.sub(lambda link: link[1] if link[1] is not None else link[2], markdown)
    return markdown


def seconds(value: float | None) -> str:
    """Return a duration as a person says it."""
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(value: float | None) -> str:
    """Return bytes in a unit that fits."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def domain_event_line(event: DomainEvent) -> str:
    """Return a domain event as one line."""
    data = json.dumps(event.data, ensure_ascii=False)
    return clean(f"{event.id or '-'} {moment(event.at)} {event.type} {event.job_id or '-'} {data}")


def moment(value: datetime | None) -> str:
    """Return a time in UTC, to the second."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value else "-"


def count(value: float) -> str:
    """Return a step or total: whole numbers without a point."""
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def progress_line(progress: Progress) -> str:
    """Return a report as one line."""
    parts = [progress.stage or "progress"]
    if progress.total:
        parts.append(f"{count(progress.step)}/{count(progress.total)}")
    elif progress.step:
        parts.append(count(progress.step))
    if progress.percent is not None:
        parts.append(f"{progress.percent:.0f}%")
    if progress.eta_s is not None:
        parts.append(f"eta {seconds(progress.eta_s)}")
    return clean(" ".join([*parts, progress.message]).strip())


def log_line(line: LogLine) -> str:
    """Return a log line as one line."""
    return clean(f"{moment(line.at)} {line.level:<7} {line.line}")


def state_line(job_id: str, state: str, *, attempt: int, cause: str, reason: str = "") -> str:
    """Return a transition as one line."""
    tried = f" attempt {attempt}" if attempt else ""
    why = f" ({cause})" if cause else ""
    return clean(f"{job_id} {state}{tried}{why}{': ' + reason if reason else ''}")


def event_line(event: Event) -> str:
    """Return any event as one line."""
    data = event.data
    if event.type == "snapshot" and event.job:
        return job_line(event.job)
    if event.type == "state":
        error = data.get("error")
        reason = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else ""
        return state_line(
            event.job_id, str(event.state), attempt=event.attempt, cause=str(data.get("cause", "")), reason=reason
        )
    if event.type == "progress" and event.progress:
        return progress_line(event.progress)
    if event.type == "log":
        return clean(f"{data.get('level', 'info')}: {data.get('line', '')}")
    if event.type == "artifact":
        return clean(f"artifact {data.get('name')} {size(data.get('size_bytes'))}")
    return clean(f"{event.type} {data}")


def job_line(job: Job) -> str:
    """Return a record as one line."""
    waits = f"waiting for {job.waiting_for}" if job.waiting_for else ""
    place = f"number {job.queue_position} in {job.queue}" if job.queue_position else ""
    reason = f"{job.error.code}: {job.error.message}" if job.error else waits or place
    return state_line(job.id, job.state, attempt=job.attempt, cause=job.cause, reason=reason)
